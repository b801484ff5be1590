"""What can be found in a file of vectors: nearest neighbours and a map."""
