"""Which packages a saved recipe may name: loading imports them and calls their classes.

Our own are always trusted. The module that somebody names on a command line is, with its package,
since it is run anyway; so are the packages of installed plug-ins (entry points in the group
`omnimask.plugins`). Anything else has to be said: `--trust my_parts`, or `trust("my_parts")`.
"""

from importlib.metadata import entry_points

from omnimask.foundation.errors import RecipeError

OUR_PACKAGES = ("omnimask", "modalities", "recipes")
PLUGINS = "omnimask.plugins"

_trusted: set[str] = set()


def trust(module: str) -> None:
    """Lets saved recipes name parts of this module's package from now on, in this process."""
    _trusted.add(module.partition(".")[0])


def trusted_packages() -> tuple[str, ...]:
    """Ours first; then what was said; then installed plug-ins."""
    plugins = {entry.module.partition(".")[0] for entry in entry_points(group=PLUGINS)}
    return (*OUR_PACKAGES, *sorted(_trusted | plugins))


def check_trusted(module: str, saved: str) -> None:
    """RecipeError unless parts of `module` may be loaded; `saved` is the name in the file."""
    package = module.partition(".")[0]
    if package in OUR_PACKAGES or package in trusted_packages():
        return
    raise RecipeError(
        f"the saved recipe names {saved!r}, and loading it would run code of {package!r}; a saved "
        f"recipe may name parts of {', '.join(trusted_packages())}. If you trust that code, add "
        f"--trust {package} to the command, or in Python call "
        f'omnimask.foundation.trust.trust("{package}") first'
    )
