"""How picture files are read: the library for each, and what their bytes mean."""
