"""Other tools' session files ↔ events (floor F2). ``registry`` finds the format of a file by its content."""
