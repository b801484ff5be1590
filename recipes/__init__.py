"""One file per method; each recipe is a function that returns a `Recipe`."""
