"""A group made by hand, encoded by nobody, for tests of single decoders.

Two modalities, a map of 3 by 4 tokens and a line of 5; two samples, of which the second has only
the first two rows of the map and three tokens of the line; two masks of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from omnimask.decoders import Decoder
from omnimask.foundation.rng import Rng
from omnimask.masking import Copies, JointBudget, RandomMask
from omnimask.masking.plan import MaskPlan
from omnimask.network.encoder import Encoded, Encoder
from omnimask.network.positions import SinCosPosition
from omnimask.tokens.tokens import Grid, Group, Layout, Span, View
from tests.unit.toy import Toy

ENCODER = Encoder(width=8, depth=3, num_heads=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class GridToy(Toy):
    """The toy modality with any grid, or none."""

    shape: tuple[int, ...] | None = None

    @property
    def grid(self) -> Grid | None:
        return None if self.shape is None else {f"axis{i}": n for i, n in enumerate(self.shape)}

    def position(self, dim: int) -> nn.Module:
        return SinCosPosition(dim, 1 if self.shape is None else len(self.shape))


MAP = GridToy(name="map", num_tokens=12, shape=(3, 4))
LINE = GridToy(name="line", num_tokens=5, shape=(5,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    encoded: Encoded

    @property
    def layout(self) -> Layout:
        return self.encoded.layout

    @property
    def plan(self) -> MaskPlan:
        return self.encoded.plan


def span(modality: GridToy, start: int, counts: tuple[int, ...]) -> Span:
    shape = modality.shape or (modality.num_tokens,)
    coords = torch.cartesian_prod(*(torch.arange(n) for n in shape)).reshape(-1, len(shape))
    return Span(
        modality=modality.name,
        start=start,
        stop=start + modality.num_tokens,
        coords=coords.float().expand(len(counts), -1, -1),
        grid=modality.grid,
        num_valid=counts,
        num_scorable=counts,
    )


def layout_of(parts: Sequence[tuple[GridToy, tuple[int, ...]]]) -> Layout:
    """The layout in which sample i has the first `counts[i]` tokens of each modality."""
    spans, start = [], 0
    for modality, counts in parts:
        spans.append(span(modality, start, counts))
        start += modality.num_tokens
    valid = torch.cat(
        [torch.arange(len(s)) < torch.tensor(s.num_valid)[:, None] for s in spans], dim=1
    )
    return Layout(spans=tuple(spans), valid=valid, scorable=valid)


def make_case(*, joint: bool = False, replace_hidden: bool = False, num_layers: int = 1) -> Case:
    layout = layout_of([(MAP, (12, 8)), (LINE, (5, 3))])
    masker = JointBudget(num_visible=7) if joint else RandomMask(ratio=0.5)
    (plan,) = Copies(masker=masker, copies=2)(layout, Rng(keys=torch.tensor([3, 8])))
    none = (0,) * len(plan.num_predict)
    return Case(
        encoded=encoded_by_nobody(
            layout, plan, plan.num_predict if replace_hidden else none, num_layers=num_layers
        ),
    )


def view_with(layout: Layout) -> View:
    """A view of which only the layout is used."""
    keys = torch.arange(len(layout.valid))
    group = Group(stream="", raw={}, keys=keys, names=("",) * len(keys))
    return View(group=group, tokens={}, layout=layout)


def encoded_by_nobody(
    layout: Layout, plan: MaskPlan, num_predict: tuple[int, ...], *, num_layers: int
) -> Encoded:
    generator = torch.Generator().manual_seed(0)

    def layers(count: int) -> tuple[Tensor, ...]:
        size = (count, ENCODER.width)
        return tuple(torch.randn(size, generator=generator) for _ in range(num_layers))

    return Encoded(
        view=view_with(layout),
        plan=plan,
        prefix=layers(ENCODER.num_prefix * len(plan.num_visible)),
        visible=layers(sum(plan.num_visible)),
        predict=layers(sum(num_predict)),
        num_prefix=ENCODER.num_prefix,
    )


def build(decoder: Decoder, *, encoder: Encoder = ENCODER) -> nn.Module:
    torch.manual_seed(0)
    return decoder.build([MAP, LINE], encoder).eval()


def run(decoder: Decoder, case: Case) -> tuple[nn.Module, Tensor]:
    module = build(decoder)
    rows = module(case.encoded)
    assert rows.shape == (*case.plan.predict_ids.shape, decoder.output_width(ENCODER))
    return module, rows


def visible_ids(case: Case, row: int) -> Tensor:
    return case.plan.visible_ids[row, : case.plan.num_visible[row]]


def predict_ids(case: Case, row: int) -> Tensor:
    return case.plan.predict_ids[row, : case.plan.num_predict[row]]


def visible_row(case: Case, row: int, layer: int = 0) -> Tensor:
    return case.encoded.visible[layer].split(case.plan.num_visible)[row]
