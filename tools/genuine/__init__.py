"""The genuine CLIs under test: a scripted model on loopback, drivers for the programs, and what they send to the model."""
