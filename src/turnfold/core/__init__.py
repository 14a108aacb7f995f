"""What is decided: pure functions over the model, without I/O, clock, randomness or logging (floor F1)."""
