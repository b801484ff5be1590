"""How table files are read: columns of a file, their kinds, and rows of all files."""
