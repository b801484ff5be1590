"""One folder per modality; each knows `omnimask` and none of its neighbours."""

PART_OF = "omnimask"  # told apart from other packages of this name by omnimask.packages
