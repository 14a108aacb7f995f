"""The themes of the fault suite, one module each."""
