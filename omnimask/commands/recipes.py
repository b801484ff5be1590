"""`omnimask recipes`: the recipes that come along."""

import argparse


def add_recipes_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `recipes` to the parser of `omnimask`."""
    recipes = commands.add_parser("recipes", help="the recipes that come along")
    recipes.set_defaults(run_command=_recipes)


def _recipes(arguments: argparse.Namespace) -> None:
    from omnimask.recipe.catalogue import list_recipes

    print(list_recipes())
