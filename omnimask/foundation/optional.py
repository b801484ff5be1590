"""Packages that come with an extra of omnimask and may be absent."""

import importlib

from omnimask.foundation.errors import RecipeError


def needs(*packages: str, extra: str, what: str = "this") -> None:
    """RecipeError with the command that installs them, where one cannot be imported.

    `packages` are import names, `what` the file or the option that needs them. Called where files
    are opened, so that no training begins without what its loader needs, and beside the imports.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except (ImportError, OSError) as error:  # OSError: a shared library is missing
            raise RecipeError(
                f"{what} needs {package}, which cannot be imported ({error}); run "
                f"`uv pip install 'omnimask[{extra}]'`, and `omnimask doctor` if that does not help"
            ) from error
