"""What the values of a cell's token hold, and in which order."""

COLUMN, NUMBER, CODE, NUM_CATEGORIES, LOW, HIGH = range(6)
NUM_VALUES = 6
