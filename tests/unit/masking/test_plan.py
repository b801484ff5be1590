"""Id arithmetic by hand for six tokens, and as a property for any scores."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnimask.masking.plan import (
    MaskPlan,
    SpanChoice,
    lowest,
    per_row,
    pick,
    ranks,
)
from tests.unit.masking_cases import layout, part, predicted, visible

SCORES = torch.tensor([[5.0, 1.0, 3.0, 0.0, 4.0, 2.0], [0.0, 1.0, 2.0, 3.0, -9.0, -9.0]])


def test_two_rows_of_six_by_hand():
    whole = layout(toy=part(6, [6, 4]))
    plan = MaskPlan.by_span(whole, [SpanChoice(scores=SCORES, num_visible=(3, 1))])
    assert plan.visible_ids.tolist() == [[1, 3, 5], [0, 0, 0]]
    assert plan.visible_ok.tolist() == [[True] * 3, [True, False, False]]
    assert plan.predict_ids.tolist() == [[0, 2, 4], [1, 2, 3]]
    assert plan.predict_ok.all()
    assert (plan.num_visible, plan.num_predict) == ((3, 1), (3, 3))


def test_tokens_that_are_only_scorable_are_predicted_and_never_shown():
    whole = layout(voxels=part(6, [3, 2], extra=2))
    plan = MaskPlan.by_span(whole, [SpanChoice(scores=-SCORES, num_visible=(1, 2))])
    assert visible(plan) == [[0], [0, 1]]
    assert predicted(plan) == [[1, 2, 3, 4], [2, 3]]
    assert plan.num_predict == (4, 2)


def test_an_input_only_span_is_shown_and_never_predicted():
    whole = layout(label=part(2, [2, 1], scorable=False), image=part(4, [4, 4]))
    choices = [
        SpanChoice(scores=SCORES[:, :2], num_visible=(1, 1)),
        SpanChoice(scores=SCORES[:, 2:], num_visible=(1, 3)),
    ]
    plan = MaskPlan.by_span(whole, choices)
    assert visible(plan) == [[1, 3], [0, 2, 4, 5]]
    assert predicted(plan) == [[2, 4, 5], [3]]
    assert (plan.num_visible, plan.num_predict) == ((2, 4), (3, 1))


def test_a_joint_plan_takes_the_lowest_of_all_spans():
    whole = layout(a=part(2, [2, 2]), b=part(4, [4, 2]))
    plan = MaskPlan.jointly(whole, SCORES, (2, 3))
    assert visible(plan) == [[1, 3], [0, 1, 2]]
    assert predicted(plan) == [[0, 2, 4, 5], [3]]


def test_equal_scores_show_what_stands_first():
    valid = torch.ones(1, 5, dtype=torch.bool)
    assert lowest(torch.zeros(1, 5), valid, (2,)).tolist() == [[True, True, False, False, False]]
    assert ranks(torch.zeros(1, 3), valid[:, :3]).tolist() == [[0, 1, 2]]


def test_a_row_without_valid_tokens_is_empty():
    whole = layout(toy=part(6, [6, 0]))
    plan = MaskPlan.by_span(whole, [SpanChoice(scores=SCORES, num_visible=(2, 0))])
    assert visible(plan)[1] == predicted(plan)[1] == []


def test_merging_by_hand():
    left = MaskPlan.by_span(
        layout(a=part(6, [6, 4])), [SpanChoice(scores=SCORES, num_visible=(1, 3))]
    )
    right = MaskPlan.by_span(
        layout(b=part(6, [6, 4])), [SpanChoice(scores=-SCORES, num_visible=(2, 1))]
    )
    merged = MaskPlan.merge([left, right], [0, 6])
    assert visible(merged) == [[3, 6, 10], [0, 1, 2, 9]]
    assert predicted(merged) == [[0, 1, 2, 4, 5, 7, 8, 9, 11], [3, 6, 7, 8]]
    assert merged.num_visible == (3, 4)
    assert merged.num_predict == (9, 4)


def test_merging_one_part_of_a_longer_sequence_moves_its_ids():
    alone = MaskPlan.by_span(
        layout(a=part(6, [6, 4])), [SpanChoice(scores=SCORES, num_visible=(1, 1))]
    )
    assert visible(MaskPlan.merge([alone], [10])) == [[13], [10]]


def test_pick_keeps_order_and_pads_with_zero():
    flags = torch.tensor([[True, False, True], [False, True, False]])
    ids, ok = pick(torch.tensor([[7, 8, 9], [7, 8, 9]]), flags, (2, 1))
    assert ids.tolist() == [[7, 9], [8, 0]]
    assert ok.tolist() == [[True, True], [True, False]]


def test_host_counts_become_a_column():
    for counts in ((3, 3), (1, 2)):
        assert per_row(counts, torch.device("cpu")).tolist() == [[n] for n in counts]


@st.composite
def _rows(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    num_tokens = draw(st.integers(1, 12))
    num_valid = draw(st.lists(st.integers(0, num_tokens), min_size=1, max_size=4))
    return num_valid, [draw(st.integers(0, n)) for n in num_valid], num_tokens


@given(rows=_rows(), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_shows_exactly_the_lowest_valid_tokens(rows: tuple[list[int], list[int], int], seed: int):
    num_valid, num_visible, num_tokens = rows
    generator = torch.Generator().manual_seed(seed)
    # Few values, so that ties are common.
    scores = torch.randint(0, 4, (len(num_valid), num_tokens), generator=generator).float()
    whole = layout(toy=part(num_tokens, num_valid))
    plan = MaskPlan.by_span(whole, [SpanChoice(scores=scores, num_visible=tuple(num_visible))])
    for row, (count, shown) in enumerate(zip(num_valid, num_visible, strict=True)):
        order = sorted(range(count), key=lambda i, row=row: (float(scores[row, i]), i))
        assert visible(plan)[row] == sorted(order[:shown])
        assert predicted(plan)[row] == sorted(order[shown:])
