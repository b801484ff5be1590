"""The names under which parts of recipes stand in saved files, apart from where they live.

A part of the core is saved as `omnimask:Encoder`, a part of a modality as `modalities.image:
ImagePatches` (the modality's package offers it), a part of anybody else's package under the module
that defines it, `my_parts:MyMask`. So files in this tree can move without orphaning a run: only
`PLACES` changes, and a part that is renamed gets a line in `RENAMED`.

`FORMAT` is the version of the files as a whole. Format 1 (until 0.1) wrote module paths, such as
`omnimask.encoder:Encoder`; these are read for ever.
"""

import importlib
from typing import Any

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.foundation.trust import check_trusted

FORMAT = 2

# Where each part of the core that may stand in a saved file lives today.
PLACES = {
    name: module
    for module, names in {
        "decoders.class_token": "ClassTokenDecoder",
        "decoders.convolutional": "ConvDecoder",
        "decoders.cross_attention": "CrossAttentionDecoder",
        "decoders.depth": "DepthDecoder",
        "decoders.direct": "NoDecoder",
        "decoders.early_context": "EarlyContextDecoder",
        "decoders.quantised": "QuantisedDecoder",
        "decoders.reading": "BlockOutput LayerFusion",
        "decoders.replaced": "ReplacedDecoder",
        "decoders.self_attention": "SelfAttentionDecoder",
        "decoders.span": "SpanDecoder",
        "decoders.visible": "VisibleDecoder",
        "decoders.window": "WindowDecoder",
        "masking.axis": "AxisMask",
        "masking.blocks": "BlockMask",
        "masking.by_hint": "SampleByHint",
        "masking.cells": "CellMask",
        "masking.copies": "Copies",
        "masking.full": "HideAll ShowAll",
        "masking.guided": "GuidedMask",
        "masking.hints": "ChangeHint",
        "masking.inverse_blocks": "InverseBlockMask",
        "masking.joint": "JointBudget",
        "masking.multi_blocks": "MultiBlockMask",
        "masking.nearest": "NearestMask",
        "masking.noise": "NoiseMask",
        "masking.per_modality": "PerModality",
        "masking.predict": "PredictShare PredictVisible",
        "masking.random": "RandomMask",
        "masking.several": "SeveralMasks",
        "masking.tube": "TubeMask",
        "network.blocks": "BlockStyle",
        "network.encoder": "Encoder",
        "network.positions": "Rotary",
        "network.trained_axis": "TrainedAxis",
        "objectives.change": "Change",
        "objectives.clusters": "OnlineClusters",
        "objectives.heads": "CosineHead LinearHead SharedHead SubCells TanhHead",
        "objectives.late_targets": "LossOf OtherCopy",
        "objectives.objective": (
            "Objective SmoothL1 TemperedCrossEntropy bce cosine cross_entropy l1 mse ranking "
            "smooth_l1"
        ),
        "objectives.targets": "Content Pooled TeacherCodes TeacherFeatures",
        "recipe.recipe": "Recipe",
        "recipe.settings": (
            "CosineSchedule Data LabelTable Mixture Optim Run StepSchedule Stream TargetOptim"
        ),
        "recipe.start": "Start",
        "recipe.teacher": "FrozenTeacher SnapshotTeacher Teacher",
        "transfer.exporting.graph_file": "GraphFile GraphInput",
        "transfer.finetuning.classification": "Classification MultiLabel",
        "transfer.finetuning.place_head": "SegmentationHead",
        "transfer.finetuning.recipe": "FinetuneRecipe Freeze Labels Lora Mix Validation",
        "transfer.finetuning.regression": "Regression",
        "transfer.finetuning.segmentation": "Segmentation",
        "transfer.pretrained_encoder": "EncoderInfo",
    }.items()
    for name in names.split()
}

# Saved name of a part before it was renamed -> its saved name now.
RENAMED: dict[str, str] = {}


def saved_name(part: Any) -> str:
    """The name under which a record's class or a function is saved.

    RecipeError for one that nobody could find again: defined inside a function, or in a script.
    """
    module, name = part.__module__, part.__qualname__
    if module == "__main__" or not name.isidentifier():
        where = "the script that runs" if module == "__main__" else "a function or a class"
        what = "a lambda" if name.endswith("<lambda>") else name
        raise RecipeError(
            f"{what} is defined in {where}, where a saved recipe could not find it again; define "
            "it at the top of a module of its own (my_parts.py) and import it"
        )
    package, _, below = module.partition(".")
    if package == "omnimask":
        assert name in PLACES, f"{module}:{name} is missing in foundation/saved_names.py"
        return f"omnimask:{name}"
    if package == "modalities":
        return f"modalities.{below.partition('.')[0]}:{name}"
    return f"{module}:{name}"


def find_part(saved: str) -> Any:
    """The class or function saved under this name, by any version of omnimask.

    RecipeError where there is none, or where its package is not trusted.
    """
    current = today(saved)
    module, _, name = current.partition(":")
    check_trusted(module, saved)
    if module == "omnimask":
        if name not in PLACES:
            raise RecipeError(
                f"the saved recipe names {saved!r}, which this version of omnimask does not have; "
                f"{nearest_names(name, PLACES)}"
            )
        module = f"omnimask.{PLACES[name]}"
    try:
        return getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise RecipeError(
            f"the saved recipe names {saved!r}, but {error}; was it written by another version, or "
            "is its module no longer on the path?"
        ) from error


def today(saved: str) -> str:
    """The saved name that a part has now, given one of any format."""
    module, _, name = saved.partition(":")
    package, *below = module.split(".")
    if package == "omnimask":
        saved = f"omnimask:{name}"
    elif package == "modalities":
        saved = f"{'.'.join([package, *below[:1]])}:{name}"
    return RENAMED.get(saved, saved)


def check_format(found: int, where: str) -> None:
    """RecipeError for a file that a later version of omnimask has written."""
    if found > FORMAT:
        raise RecipeError(
            f"{where} has format {found}, this version of omnimask reads up to {FORMAT}; install "
            "the version that wrote it, or a later one"
        )
