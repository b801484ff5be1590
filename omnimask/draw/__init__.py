"""Pictures for people: what a recipe's masks look like, and what a run reconstructs."""

from omnimask.draw.command import add_draw_command

__all__ = ["add_draw_command"]
