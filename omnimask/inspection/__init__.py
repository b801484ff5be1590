"""What lies in a folder that nobody has described, and a recipe that fits it."""
