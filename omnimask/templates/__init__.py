"""What `omnimask new` writes: modules that work as they stand, under other names."""
