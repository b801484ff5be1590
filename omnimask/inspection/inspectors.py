"""Which modalities can look at files: ours, and those of installed plug-ins."""

import importlib
from importlib.util import find_spec

from omnimask.foundation.packages import check_our_packages, package_folder
from omnimask.foundation.trust import plugin_packages
from omnimask.inspection.inspector import Inspector


def find_inspectors() -> dict[str, Inspector]:
    """By the name of the modality, in the order of our folders; plug-ins come last."""
    check_our_packages()
    folder = package_folder("modalities")
    assert folder is not None, "check_our_packages found it"
    ours = sorted(path.parent.name for path in folder.glob("*/inspecting.py"))
    modules = [f"modalities.{name}.inspecting" for name in ours]
    modules += [f"{name}.inspecting" for name in plugin_packages()]
    found = [
        vars(importlib.import_module(name))["INSPECTOR"]
        for name in modules
        if find_spec(name) is not None
    ]
    return {inspector.name: inspector for inspector in found}
