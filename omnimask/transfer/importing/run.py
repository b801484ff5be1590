"""An encoder from a checkpoint or a model of another project."""

from pathlib import Path

from torch import nn

from omnimask.foundation.packages import check_our_packages
from omnimask.transfer.importing.convert import convert
from omnimask.transfer.importing.key_maps import KEY_MAPS, guess_format, renamed
from omnimask.transfer.importing.sources import read_source
from omnimask.transfer.importing.tokenizers import Known
from omnimask.transfer.pretrained_encoder import PretrainedEncoder


def import_encoder(
    source: Path | str | nn.Module,
    format: str | None = None,
    *,
    num_heads: int | None = None,
    size: tuple[int, ...] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> PretrainedEncoder:
    """The encoder of a checkpoint file, or of a `timm` or `transformers` model; features are the
    same. On the CPU, in evaluation mode.

    `format`: a name of `KEY_MAPS`, guessed from the keys if None. `size`: of the input, where it is
    not square or not usual: (rows, columns), (frames, mel bands) or (frames, rows, columns).
    `mean`, `std`: of the input; ImageNet's for colours unless the model says others.
    RecipeError for what is no checkpoint or cannot be computed exactly, naming the keys.
    """
    check_our_packages()
    found = read_source(source)
    format = format or found.format or guess_format(found.state)
    state = renamed(found.state, format)
    key_map = KEY_MAPS[format]
    known = Known(
        kind=key_map.kind,
        norm_eps=key_map.norm_eps if found.norm_eps is None else found.norm_eps,
        positions=key_map.positions,
        heads=key_map.heads,
        act=key_map.act if found.act is None else found.act,
        num_heads=num_heads or found.num_heads,
        size=size,
        mean=mean or found.mean or key_map.mean,
        std=std or found.std or key_map.std,
    )
    origin = {"imported": found.name, "format": format}
    return convert(state, known, name=found.name, origin=origin)
