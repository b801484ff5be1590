"""One group as the step sees it: tokens, layout, and what a teacher says of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from omnimask.objectives.targets import TeacherOutput
from omnimask.tokens.group import Group
from omnimask.tokens.modality import Modality
from omnimask.tokens.tokens import Layout, Tokens, layout_of


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupView:
    """What targets and masks are made from.

    `teacher` has the teacher's outputs (b n d) that targets read, zero at invalid tokens; `hints`
    what the masker asks for, by name, None where it asks for nothing.
    """

    group: Group
    tokens: Mapping[str, Tokens]
    layout: Layout
    teacher: Mapping[TeacherOutput, Tensor] = field(default_factory=dict)
    hints: Mapping[str, Float[Tensor, "b n"]] | None = None


def split_group(group: Group, modalities: Mapping[str, Modality]) -> GroupView:
    """The group's modalities as tokens, in the order of `modalities`."""
    tokens = {
        name: modality.split(group.raw[name])
        for name, modality in modalities.items()
        if name in group.raw
    }
    return GroupView(group=group, tokens=tokens, layout=layout_of(tokens))
