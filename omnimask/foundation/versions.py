"""Which versions a result was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("omnimask", "torch", "timm", "accelerate", "numpy", "safetensors")


def installed_version(package: str) -> str | None:
    """The installed version of a distribution, None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    found = {package: installed_version(package) or "not installed" for package in _PACKAGES}
    return {"python": platform.python_version(), **found}
