"""Pictures for people: what a recipe's masks look like, and what a run reconstructs."""
