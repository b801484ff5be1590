"""What holds for every masker, whatever it hides."""

from dataclasses import fields, replace

import pytest
import torch

from omnimask.foundation.records import from_json, to_json
from omnimask.foundation.rng import Rng
from omnimask.masking import Masker, MaskPlan
from omnimask.tokens.tokens import Layout
from tests.sync_watch import SyncWatch
from tests.unit.masking_cases import CASES, keys, one_row, predicted, visible

RNGS = {rows: keys(rows, "") for rows in range(1, 5)}
EVERY = pytest.mark.parametrize("name", CASES)
EVERY_HIDING = pytest.mark.parametrize("name", [name for name in CASES if CASES[name].hides])
EVERY_PLAIN = pytest.mark.parametrize("name", [name for name in CASES if not CASES[name].hints])


def draw(name: str, label: str = "") -> MaskPlan:
    case = CASES[name]
    (plan,) = case.masker(case.layout, keys(case.layout.valid.shape[0], label), case.hints)
    return plan


@EVERY
def test_ids_are_sorted_real_ones_first_and_counted(name: str):
    plan = draw(name)
    for ids, ok, counts in (
        (plan.visible_ids, plan.visible_ok, plan.num_visible),
        (plan.predict_ids, plan.predict_ok, plan.num_predict),
    ):
        assert ids.shape == ok.shape == (len(counts), max(counts))
        assert ok.sum(dim=1).tolist() == list(counts)
        for row, flags, count in zip(ids, ok, counts, strict=True):
            assert flags[:count].all()
            assert (row[count:] == 0).all()
            assert (row[:count].diff() > 0).all()


@EVERY
def test_shows_valid_tokens_and_predicts_scorable_ones(name: str):
    plan, whole = draw(name), CASES[name].layout.repeat(draw(name).copies)
    for row, (seen, asked) in enumerate(zip(visible(plan), predicted(plan), strict=True)):
        assert whole.valid[row, seen].all()
        hidden = set(whole.scorable[row].nonzero().flatten().tolist()) - set(seen)
        if CASES[name].predicts == "hidden":
            assert set(asked) == hidden
        elif CASES[name].predicts == "share":
            assert set(asked) <= hidden
        else:
            assert set(asked) == set(whole.scorable[row].nonzero().flatten().tolist())


@EVERY_HIDING
def test_something_is_shown_and_something_valid_is_hidden(name: str):
    plan, whole = draw(name), CASES[name].layout.repeat(draw(name).copies)
    for row, seen in enumerate(visible(plan)):
        num_valid = int(whole.valid[row].sum())
        assert min(1, num_valid) <= len(seen) <= max(num_valid - 1, min(1, num_valid))


@EVERY_HIDING
def test_the_same_keys_give_the_same_mask_and_others_another(name: str):
    assert visible(draw(name, "a")) == visible(draw(name, "a"))
    assert predicted(draw(name, "a")) == predicted(draw(name, "a"))
    labels = [str(number) for number in range(5)]
    assert len({str(visible(draw(name, label))) for label in labels}) > 1


@EVERY
def test_a_sample_alone_gets_the_mask_it_gets_in_a_batch(name: str):
    case, plan = CASES[name], draw(name)
    for row in range(case.layout.valid.shape[0]):
        rng = keys(case.layout.valid.shape[0], "")
        alone = Rng(keys=rng.keys[row : row + 1])
        hints = {label: hint[row : row + 1] for label, hint in case.hints.items()}
        (single,) = case.masker(one_row(case.layout, row), alone, hints)
        rows = slice(row * plan.copies, (row + 1) * plan.copies)
        assert visible(single) == visible(plan)[rows]
        assert predicted(single) == predicted(plan)[rows]


@EVERY
def test_never_waits_for_the_device(name: str):
    draw(name)  # host counts of ragged rows are copied once and kept
    with SyncWatch() as watch:
        case = CASES[name]
        case.masker(case.layout, RNGS[case.layout.valid.shape[0]], case.hints)
    assert not watch.waits, watch.report()


@EVERY
def test_is_a_masker_that_goes_through_json(name: str):
    masker = CASES[name].masker
    assert isinstance(masker, Masker)
    assert from_json(to_json(masker)) == masker
    for span in CASES[name].layout.spans:
        masker.check(span.grid, span.modality)


@EVERY_PLAIN
def test_hints_and_progress_change_nothing(name: str):
    case = CASES[name]
    hints = {"attention": torch.rand(case.layout.valid.shape)}
    (plan,) = case.masker(case.layout, RNGS[case.layout.valid.shape[0]], hints, 0.5)
    plain = draw(name)
    for field in fields(MaskPlan):
        left, right = getattr(plan, field.name), getattr(plain, field.name)
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


@pytest.mark.gpu
@EVERY
def test_the_gpu_draws_the_same_masks_and_never_waits(name: str):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    case, plan = CASES[name], draw(name)
    there = Layout(
        spans=tuple(replace(span, coords=span.coords.cuda()) for span in case.layout.spans),
        valid=case.layout.valid.cuda(),
        scorable=case.layout.scorable.cuda(),
    )
    rng = Rng(keys=RNGS[case.layout.valid.shape[0]].keys.cuda())
    hints = {label: hint.cuda() for label, hint in case.hints.items()}
    case.masker(there, rng, hints)  # host counts of ragged rows are copied once and kept
    torch.cuda.set_sync_debug_mode("error")
    try:
        (on_gpu,) = case.masker(there, rng, hints)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert visible(on_gpu) == visible(plan)
    assert predicted(on_gpu) == predicted(plan)
