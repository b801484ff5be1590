"""How video files are read: the library for each, and the list of their frames."""
