"""What an encoder makes of tokens: principal components, likeness to chosen tokens, attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnimask.network.attention_maps import AttentionMaps, attention_maps
from omnimask.network.encoder import Backbone
from omnimask.report.drawing.panels import token_squares
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Raw, Span, View
from omnimask.transfer.modality_hooks import Paintable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHOSEN = (0.92, 0.12, 0.2)  # the token that others are compared with
NUM_CHOSEN = 3
TITLES = ("input", "features (PCA)", "the same, random weights")
EXPLAINED = (
    "Everything is shown to the encoder. Features: the first three principal components of its "
    "output, over the samples drawn here, as red, green and blue; beside them those of the same "
    "encoder with random weights. Like the red token: cosine with its features, the mean over "
    "the sample taken away, yellow for alike; in a clip or a scan that token may lie at another "
    "moment or in another slice. Attention: dark blue for none, yellow for the "
    "most in the panel, which is so many times (×) an even share; rollout follows it from the last "
    "block to the first."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Painted:
    """A sample's tokens of one modality in colours: under each of `titles` but the first."""

    titles: tuple[str, ...]
    colors: Float[Tensor, "k n 3"]


def painted_features(
    trained: Backbone, untrained: Backbone, view: View
) -> dict[str, list[Painted]]:
    """By modality, for each sample of the group: features, those with random weights, likeness to
    `NUM_CHOSEN` tokens that differ in content, and two kinds of attention.
    """
    maps, blank = attention_maps(trained, view), attention_maps(untrained, view)
    return {span.modality: _painted(maps, blank, view, span) for span in view.layout.spans}


def _painted(maps: AttentionMaps, blank: AttentionMaps, view: View, span: Span) -> list[Painted]:
    where = slice(span.start, span.stop)
    valid = view.layout.valid[:, where].cpu()
    values = view.tokens[span.modality].values.float().cpu()
    features = maps.features[:, where].cpu()
    components = [
        pca_colors(part[:, where].cpu(), valid) for part in (maps.features, blank.features)
    ]
    who = "[CLS] attends" if maps.by_class else "tokens attend"
    found = []
    for row in range(len(valid)):
        chosen = choose_tokens(values[row], valid[row], NUM_CHOSEN)
        alike = [_likeness(features[row], valid[row], token) for token in chosen]
        shares = [part[row, where].cpu() for part in (maps.last, maps.rollout)]
        attention = [_scaled(part, valid[row]) for part in shares]
        last, rolled = (_most(part, valid[row]) for part in shares)
        found.append(
            Painted(
                titles=(
                    *TITLES,
                    f"{who}, last block ({last})",
                    *("like the red token" for _ in alike),
                    f"{who}, rollout ({rolled})",
                ),
                colors=torch.stack(
                    [*(part[row] for part in components), attention[0], *alike, attention[1]]
                ),
            )
        )
    return found


def pca_colors(
    features: Float[Tensor, "b n d"], valid: Bool[Tensor, "b n"]
) -> Float[Tensor, "b n 3"]:
    """The three first principal components of the valid tokens, each from its 2 % to its 98 %
    quantile as 0 to 1; grey where a token is not valid, or nothing differs.
    """
    colors = torch.full((*valid.shape, 3), 0.5)
    points = features[valid].double()
    if len(points) < 4:
        return colors
    centred = points - points.mean(dim=0)
    _, sizes, axes = torch.linalg.svd(centred, full_matrices=False)
    for component in range(min(3, len(sizes))):
        if sizes[component] < 1e-9:
            continue
        place = centred @ axes[component]
        place = place * place.pow(3).sum().sign()  # the sign of an axis means nothing: fix it
        low, high = torch.quantile(place, torch.tensor([0.02, 0.98], dtype=place.dtype))
        shown = ((place - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        colors[..., component][valid] = shown.float()
    return colors


def choose_tokens(values: Float[Tensor, "n v"], valid: Bool[Tensor, " n"], count: int) -> list[int]:
    """Valid tokens whose contents differ: the one farthest from the mean, then always the one that
    is farthest from all chosen before. They depend on the sample alone, not on a model.
    """
    ids = valid.nonzero()[:, 0]
    if not len(ids):
        return []
    contents = values[ids]
    distance = (contents - contents.mean(dim=0)).norm(dim=1)
    chosen = [int(distance.argmax())]
    while len(chosen) < min(count, len(ids)):
        nearest = torch.cdist(contents, contents[chosen]).min(dim=1).values
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return ids[chosen].tolist()


def _likeness(
    features: Float[Tensor, "n d"], valid: Bool[Tensor, " n"], token: int
) -> Float[Tensor, "n 3"]:
    centred = features - features[valid].mean(dim=0)
    cosines = torch.cosine_similarity(centred, centred[token][None], dim=1)
    colors = _colored((cosines + 1) / 2, "viridis")
    colors[~valid] = 0.5
    colors[token] = torch.tensor(CHOSEN)
    return colors


def _scaled(shares: Float[Tensor, " n"], valid: Bool[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """From zero to the largest share; the lightest colours would be lost on white."""
    colors = _colored(0.92 * shares / shares.max().clamp_min(1e-12), "plasma")
    colors[~valid] = 0.5
    return colors


def _most(shares: Float[Tensor, " n"], valid: Bool[Tensor, " n"]) -> str:
    """How the largest share compares with an even one."""
    even = shares[valid].mean() if valid.any() else shares.new_ones(())
    return f"≤ {shares.max() / even.clamp_min(1e-12):.1f} ×"


def _colored(numbers: Float[Tensor, " n"], cmap: str) -> Float[Tensor, "n 3"]:
    from matplotlib import colormaps

    return torch.from_numpy(colormaps[cmap](numbers.clamp(0, 1).numpy())[:, :3]).float()


def paint(modality: Modality, raw: Raw, painted: Painted, *, index: int) -> "Figure":
    """The modality's own picture of the tokens; squares in the order of the sequence without."""
    if isinstance(modality, Paintable):
        return modality.paint(raw, painted.colors, titles=painted.titles, index=index)
    return _squares(painted.titles, painted.colors, modality.split(raw).valid[index].cpu())


def _squares(
    titles: Sequence[str], colors: Float[Tensor, "k n 3"], valid: Bool[Tensor, " n"]
) -> "Figure":
    from omnimask.report.painting import easels

    nothing = torch.zeros_like(valid)
    first = token_squares(valid, nothing, valid)
    figure, panels = easels(titles, aspect=first.shape[0] / first.shape[1])
    panels[0][0].imshow(first)
    for (axes,), paint_of in zip(panels[1:], colors, strict=True):
        axes.imshow(token_squares(valid, nothing, valid, colors=paint_of))
    return figure
