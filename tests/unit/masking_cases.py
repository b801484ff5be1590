"""Layouts made by hand, plans as sets, and every masker with a layout it works on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from omnimask.foundation.rng import Rng, fold_key
from omnimask.masking import (
    AxisMask,
    BlockMask,
    CellMask,
    Copies,
    GuidedMask,
    HideAll,
    InverseBlockMask,
    JointBudget,
    Masker,
    MaskPlan,
    MultiBlockMask,
    NearestMask,
    NoiseMask,
    PerModality,
    PredictShare,
    PredictVisible,
    RandomMask,
    SampleByHint,
    SeveralMasks,
    ShowAll,
    TubeMask,
)
from omnimask.tokens.tokens import Grid, Layout, Tokens


def keys(rows: int, *labels: int | str) -> Rng:
    return Rng(keys=torch.tensor([fold_key(row, *labels) for row in range(rows)]))


def part(
    num_tokens: int | Grid, num_valid: Sequence[int], *, extra: int = 0, scorable: bool = True
) -> Tokens:
    """The first `num_valid[i]` tokens of row i are valid; `extra` more are scorable only."""
    grid = num_tokens if isinstance(num_tokens, Mapping) else None
    n = math.prod(grid.values()) if grid else num_tokens
    assert isinstance(n, int)
    places = torch.arange(n)
    lengths = torch.tensor(num_valid)[:, None]
    valid = places < lengths
    asked = places < lengths + extra if scorable else torch.zeros_like(valid)
    sizes = tuple(grid.values()) if grid else (n,)
    coords = torch.stack(torch.meshgrid(*map(torch.arange, sizes), indexing="ij"), dim=-1)
    return Tokens(
        values=torch.zeros(len(num_valid), n, 1),
        coords=coords.flatten(0, -2).float().expand(len(num_valid), -1, -1),
        valid=valid,
        scorable=asked,
        num_valid=tuple(num_valid),
        num_scorable=tuple(int(count) for count in asked.sum(dim=1)),
        grid=grid,
    )


def layout(**parts: Tokens) -> Layout:
    return Layout.of(parts)


def one_row(whole: Layout, row: int) -> Layout:
    where = slice(row, row + 1)
    return Layout(
        spans=tuple(
            replace(
                span,
                coords=span.coords[where],
                num_valid=span.num_valid[where],
                num_scorable=span.num_scorable[where],
            )
            for span in whole.spans
        ),
        valid=whole.valid[where],
        scorable=whole.scorable[where],
    )


def visible(plan: MaskPlan) -> list[list[int]]:
    return _real(plan.visible_ids, plan.visible_ok)


def predicted(plan: MaskPlan) -> list[list[int]]:
    return _real(plan.predict_ids, plan.predict_ok)


def _real(ids: torch.Tensor, ok: torch.Tensor) -> list[list[int]]:
    return [row[flags].tolist() for row, flags in zip(ids, ok, strict=True)]


def shown(plan: MaskPlan, num_tokens: int) -> torch.Tensor:
    """Flags (rows, tokens) of the visible tokens."""
    flags = torch.zeros(len(plan.num_visible), num_tokens, dtype=torch.bool)
    for row, ids in enumerate(visible(plan)):
        flags[row, ids] = True
    return flags


@dataclass(frozen=True, kw_only=True)
class MaskerCase:
    """`predicts`: "hidden" tokens that are scorable, a "share" of these, or "all" scorable ones.

    `hides` is False for a masker that shows everything, whatever the keys.
    """

    masker: Masker
    layout: Layout
    predicts: str = "hidden"
    hides: bool = True
    hints: Mapping[str, torch.Tensor] = field(default_factory=dict)


IMAGE, VIDEO, SOUND = {"h": 8, "w": 8}, {"t": 4, "h": 6, "w": 6}, {"t": 12, "f": 4}


def _pair() -> Layout:
    return layout(
        image=part(IMAGE, [64, 64, 64]), depth=part(16, [16, 9, 1]), text=part(7, [7, 0, 3])
    )


def _video() -> Layout:
    return layout(video=part(VIDEO, [144, 72, 36, 0]))


def _sound() -> Layout:
    return layout(sound=part(SOUND, [48, 32, 20, 8]))


def _cloud() -> Layout:
    return layout(cloud=part(20, [20, 11, 2, 1], extra=3))


_MIXED = {"image": TubeMask(ratio=0.5, axis="h"), "text": RandomMask(), "depth": NearestMask()}


def _uneven(rows: int, num_tokens: int) -> dict[str, torch.Tensor]:
    """A hint in which no two tokens of a row are alike, and another order in every row."""
    return {"hard": keys(rows, "hard").uniform(num_tokens)}


CASES = {
    "random": MaskerCase(masker=RandomMask(), layout=_cloud()),
    "random, several spans": MaskerCase(masker=RandomMask(ratio=0.4), layout=_pair()),
    "random, input-only span": MaskerCase(
        masker=RandomMask(ratio=0.5),
        layout=layout(cloud=part(9, [9, 4]), label=part(5, [5, 2], scorable=False)),
    ),
    "cells": MaskerCase(masker=CellMask(cell=(3, 1, 2)), layout=_video()),
    "blocks": MaskerCase(masker=BlockMask(min_tokens=4), layout=_sound()),
    "blocks in video": MaskerCase(masker=BlockMask(ratio=0.8), layout=_video()),
    "inverse blocks": MaskerCase(masker=InverseBlockMask(ratio=0.6), layout=_sound()),
    "inverse blocks, rolled": MaskerCase(
        masker=InverseBlockMask(block=None, aspect=(0.5, 2.0), roll=True), layout=_video()
    ),
    "tubes": MaskerCase(masker=TubeMask(), layout=_video()),
    "tubes in sound": MaskerCase(masker=TubeMask(ratio=0.5, axis="f"), layout=_sound()),
    "slices": MaskerCase(masker=AxisMask(ratio=0.4, axis="t"), layout=_sound()),
    "bands": MaskerCase(masker=AxisMask(ratio=0.4, axis="f", contiguous=True), layout=_sound()),
    "long bands": MaskerCase(
        masker=AxisMask(ratio=0.6, axis="t", contiguous=True), layout=_sound()
    ),
    "nearest": MaskerCase(masker=NearestMask(), layout=_cloud()),
    "per modality": MaskerCase(masker=PerModality(masks=_MIXED), layout=_pair()),
    "told by others": MaskerCase(
        masker=PerModality(masks=_MIXED, beside={"image": HideAll()}), layout=_pair()
    ),
    "joint budget": MaskerCase(masker=JointBudget(num_visible=20), layout=_pair()),
    "copies": MaskerCase(masker=Copies(masker=RandomMask(), copies=3), layout=_cloud()),
    "copies per modality": MaskerCase(
        masker=Copies(masker=PerModality(masks=_MIXED), copies=2), layout=_pair()
    ),
    "share": MaskerCase(
        masker=PredictShare(masker=Copies(masker=RandomMask(), copies=2), share=0.3),
        layout=_cloud(),
        predicts="share",
    ),
    "visible too": MaskerCase(
        masker=PredictVisible(masker=Copies(masker=RandomMask(ratio=0.5), copies=2)),
        layout=_cloud(),
        predicts="all",
    ),
    "noise on a line": MaskerCase(masker=NoiseMask(), layout=layout(line=part({"n": 9}, [9, 4]))),
    "noise": MaskerCase(masker=NoiseMask(ratio=0.5, color="red"), layout=_sound()),
    "noise in video": MaskerCase(masker=NoiseMask(color="purple"), layout=_video()),
    "several blocks": MaskerCase(masker=MultiBlockMask(), layout=_sound()),
    "several blocks in video": MaskerCase(
        masker=MultiBlockMask(num_blocks=2, share=0.7), layout=_video()
    ),
    "intervals": MaskerCase(
        masker=MultiBlockMask(num_blocks=3, share=0.2), layout=layout(line=part({"n": 12}, [12, 5]))
    ),
    "guided": MaskerCase(
        masker=GuidedMask(hint="hard", start=0.3), layout=_cloud(), hints=_uneven(4, 20)
    ),
    "guided, several spans": MaskerCase(
        masker=Copies(
            masker=PerModality(
                masks={
                    "image": GuidedMask(ratio=0.5, hint="hard", start=0.5),
                    "depth": GuidedMask(hint="hard"),
                    "text": RandomMask(),
                }
            ),
            copies=2,
        ),
        layout=_pair(),
        hints=_uneven(3, 87),
    ),
    "by a hint": MaskerCase(
        masker=Copies(masker=SampleByHint(hint="hard"), copies=2),
        layout=_cloud(),
        hints=_uneven(4, 20),
    ),
    "one of several": MaskerCase(masker=SeveralMasks(masks=(BlockMask(),)), layout=_video()),
    "everything": MaskerCase(masker=ShowAll(), layout=_cloud(), predicts="all", hides=False),
}
