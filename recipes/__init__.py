"""One file per method; each recipe is a function that returns a `Recipe`."""

PART_OF = "omnimask"  # told apart from other packages of this name by omnimask.foundation.packages
