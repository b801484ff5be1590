"""Which of a run's modalities completes a file."""

import importlib
from collections.abc import Mapping

from omnimask.complete.completer import Completed, Completer, Request
from omnimask.errors import DataError, RecipeError, nearest_names
from omnimask.modality import Modality
from omnimask.model import MaskedModel


def complete_file(
    model: MaskedModel, request: Request, *, modality: str | None = None
) -> Completed:
    """Completes one file; `modality` is needed where several of the run's read such files.

    RecipeError where the run has seen no modality of that kind, where its targets restore nothing,
    or where it is not said what is hidden; DataError for a file that cannot be used.
    """
    if not request.path.is_file():
        raise DataError(f"{request.path} does not exist or is no file")
    name = modality or _modality_of(request, model.modalities)
    if name not in model.modalities:
        raise RecipeError(
            f"{model.recipe.name!r} has no modality {name!r}; "
            f"{nearest_names(name, model.modalities)}"
        )
    completer = completer_of(model.modalities[name])
    if completer is None:
        raise RecipeError(f"files of the modality {name!r} cannot be completed yet")
    request.out.parent.mkdir(parents=True, exist_ok=True)
    if request.out.exists() and request.out.samefile(request.path):
        raise RecipeError(f"{request.out} is the file itself; name another one, so that it stays")
    return completer(model.eval(), name, request)


def completer_of(modality: Modality) -> Completer | None:
    """`COMPLETER` of the module `imputing` in the modality's own package, if there is one."""
    package = type(modality).__module__.rpartition(".")[0]
    module = f"{package}.imputing"
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        return None
    completer = found.COMPLETER
    return completer if completer.completes(modality) else None


def _modality_of(request: Request, modalities: Mapping[str, Modality]) -> str:
    suffix = request.path.suffix.lower()
    read = {name: completer_of(modality) for name, modality in modalities.items()}
    able = [name for name, completer in read.items() if completer and suffix in completer.suffixes]
    if len(able) == 1:
        return able[0]
    if able:
        raise RecipeError(
            f"{request.path}: both {' and '.join(able)} read {suffix} files; say --modality"
        )
    known = "; ".join(
        f"{name} reads {' '.join(completer.suffixes)}"
        for name, completer in read.items()
        if completer
    )
    raise RecipeError(
        f"{request.path}: the run has never seen such files: {known or 'it reads none'}. Name a "
        f"run that was trained on {suffix or 'such'} files"
    )
