"""Which of a run's modalities imputes a file."""

from collections.abc import Mapping

from omnimask.data.folders import suffix_of
from omnimask.foundation.errors import DataError, RecipeError, nearest_names
from omnimask.tokens.modality import Modality
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.request import Imputation, Request
from omnimask.transfer.modality_hooks import IMPUTERS, find_hook, missing, require_hook


def impute_file(model: MaskedModel, request: Request, *, modality: str | None = None) -> Imputation:
    """Imputes one file; `modality` is needed where several of the run's read such files.

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
    imputer = require_hook(model.modalities[name], IMPUTERS)
    request.out.parent.mkdir(parents=True, exist_ok=True)
    if request.out.exists() and request.out.samefile(request.path):
        raise RecipeError(f"{request.out} is the file itself; name another one, so that it stays")
    return imputer(model.eval(), name, request)


def _modality_of(request: Request, modalities: Mapping[str, Modality]) -> str:
    found = {name: find_hook(modality, IMPUTERS) for name, modality in modalities.items()}
    read = {name: imputer for name, imputer in found.items() if imputer is not None}
    suffix = suffix_of(request.path, {each for imp in read.values() for each in imp.suffixes})
    able = [name for name, imputer in read.items() if suffix in imputer.suffixes]
    if len(able) == 1:
        return able[0]
    if able:
        raise RecipeError(
            f"{request.path}: both {' and '.join(able)} read {suffix} files; say --modality"
        )
    if not read:
        raise RecipeError("; ".join(missing(m, IMPUTERS) for m in modalities.values()))
    known = "; ".join(f"{name} reads {' '.join(imp.suffixes)}" for name, imp in read.items())
    raise RecipeError(
        f"{request.path}: the run has never seen such files: {known}. Name a run that was trained "
        f"on {suffix or 'such'} files"
    )
