"""Targets made from the step's own predictions."""

from dataclasses import replace

import torch

from omnimask.masking.plan import MaskPlan
from omnimask.network.encoder import Encoded
from omnimask.objectives.late_targets import LateTarget, LossOf, OtherCopy
from omnimask.tokens.tokens import Group, Layout, View
from tests.unit.masking_cases import part

# Two copies of one sample of six tokens: the first asks for 1, 3, 5, the second for 3, 4.
PLAN = MaskPlan(
    visible_ids=torch.tensor([[0, 2, 4], [0, 1, 2]]),
    visible_ok=torch.ones(2, 3, dtype=torch.bool),
    predict_ids=torch.tensor([[1, 3, 5], [3, 4, 0]]),
    predict_ok=torch.tensor([[True, True, True], [True, True, False]]),
    num_visible=(3, 3),
    num_predict=(3, 2),
    copies=2,
)
FEATURES = torch.arange(12.0).reshape(2, 3, 2)


def encoded(plan: MaskPlan, **parts: dict[str, torch.Tensor]) -> Encoded:
    """One sample of six tokens under a plan."""
    group = Group(stream="", raw={}, keys=torch.zeros(1, dtype=torch.int64), names=("one",))
    tokens = {"toy": part(6, [6])}
    return Encoded(
        view=View(group=group, tokens=tokens, layout=Layout.of(tokens)), plan=plan, **parts
    )


def test_the_loss_of_another_objective_comes_with_where_it_counts():
    losses = torch.tensor([[0.5, 0.0, 2.0], [1.0, 3.0, 0.0]])
    counted = torch.tensor([[True, False, True], [True, True, False]])
    decoded = encoded(PLAN, losses={"a": losses}, counted={"a": counted})
    target = LossOf(objective="a")
    assert torch.equal(target.known(decoded), counted)
    assert torch.equal(target.values(decoded)[..., 0], losses)
    assert torch.equal(target.values(decoded)[..., 1], counted.float())


def test_the_other_copys_feature_is_that_of_the_same_token():
    decoded = encoded(PLAN, features={"main": FEATURES})
    target = OtherCopy(decoder="main", width=2)
    known = target.known(decoded)
    assert known.tolist() == [[False, True, False], [True, False, False]]
    values = target.values(decoded)
    assert torch.equal(values[0, 1], FEATURES[1, 0]), "token 3 stands first in the second copy"
    assert torch.equal(values[1, 0], FEATURES[0, 1])


def test_a_padded_row_never_stands_for_token_0():
    plan = PLAN
    shifted = torch.where(plan.predict_ids == 1, 0, plan.predict_ids)  # now copy one asks for 0
    decoded = encoded(
        MaskPlan(
            visible_ids=plan.visible_ids,
            visible_ok=plan.visible_ok,
            predict_ids=shifted,
            predict_ok=plan.predict_ok,
            num_visible=plan.num_visible,
            num_predict=plan.num_predict,
            copies=2,
        ),
        features={"main": FEATURES},
    )
    assert not OtherCopy(decoder="main", width=2).known(decoded)[0, 0]


def test_padding_adds_nothing_to_token_0_of_the_other_copy():
    plan = replace(
        PLAN,
        predict_ids=torch.tensor([[0, 3, 5], [0, 4, 0]]),
        visible_ids=torch.tensor([[1, 2, 4], [1, 2, 3]]),
    )
    decoded = encoded(plan, features={"main": FEATURES})
    values = OtherCopy(decoder="main", width=2).values(decoded)
    assert torch.equal(values[0, 0], FEATURES[1, 0])


def test_late_targets_are_late_targets():
    assert isinstance(LossOf(objective="a"), LateTarget)
    assert isinstance(OtherCopy(width=2), LateTarget)
