"""Why an encoder does not fit a format, and what is missing to write it."""

from collections.abc import Sequence
from importlib.util import find_spec

from omnimask.foundation.errors import RecipeError
from omnimask.network.encoder import Encoder

ANY = "the formats encoder, onnx and torch hold it"


def require(packages: Sequence[str], *, of: str) -> None:
    """RecipeError naming the extra where a package that the format `of` needs is not installed."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise RecipeError(
            f"the format {of} needs {', '.join(missing)}, not installed; run "
            "`uv pip install 'omnimask[export]'`"
        )


def check_plain(config: Encoder, *, of: str) -> None:
    """RecipeError unless the blocks are those of a plain ViT: what no other library's model of this
    kind has is named.
    """
    if config.positions != "additive":
        raise RecipeError(
            f"{of} adds its positions to the tokens, but this encoder has positions="
            f"{config.positions!r}; {ANY}"
        )
    strange = {
        "places_every_block=True": config.places_every_block,
        "relative_bias": bool(config.relative_bias),
        "pre_norm=True": config.pre_norm,
        "norm_weights=False": not config.norm_weights,
        f"kind={config.style.kind!r}": config.style.kind != "vit",
        f"act={config.style.act!r}": config.style.act != "gelu",
        "sub_norm=True": config.style.sub_norm,
        "swiglu=True": config.style.swiglu,
        "qk_norm=True": config.style.qk_norm,
        "norm='rms'": config.style.norm == "rms",
    }
    found = [name for name, present in strange.items() if present]
    if found:
        raise RecipeError(f"{of} has no blocks with {' and '.join(found)}; {ANY}")
