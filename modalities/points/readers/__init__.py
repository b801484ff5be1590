"""How files of points and meshes are read."""
