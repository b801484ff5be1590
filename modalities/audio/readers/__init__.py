"""How sound files are read: the library for each, and what it says of a file."""
