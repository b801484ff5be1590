from omnimask.masking import Copies, HideAll, ShowAll
from omnimask.masking.full import full_plan
from tests.unit.masking_cases import keys, layout, part, predicted, visible


def test_shows_what_is_valid_and_predicts_what_is_scorable():
    whole = layout(toy=part(6, [6, 2], extra=1), label=part(2, [1, 2], scorable=False))
    (plan,) = ShowAll()(whole, keys(2))
    assert visible(plan) == [[0, 1, 2, 3, 4, 5, 6], [0, 1, 6, 7]]
    assert predicted(plan) == [[0, 1, 2, 3, 4, 5], [0, 1, 2]]
    assert plan.num_predict == (6, 3)


def test_hide_all_shows_nothing_and_predicts_what_is_scorable():
    whole = layout(toy=part(4, [4, 2]), label=part(2, [1, 2], scorable=False))
    (plan,) = HideAll()(whole, keys(2))
    assert visible(plan) == [[], []]
    assert predicted(plan) == [[0, 1, 2, 3], [0, 1]]
    assert plan.num_visible == (0, 0)


def test_copies_are_alike():
    (plan,) = Copies(masker=ShowAll(), copies=2)(layout(toy=part(4, [4, 2])), keys(2))
    assert visible(plan) == predicted(plan) == [[0, 1, 2, 3]] * 2 + [[0, 1]] * 2


def test_the_full_plan_predicts_nothing():
    plan = full_plan(layout(toy=part(4, [4, 2])))
    assert visible(plan) == [[0, 1, 2, 3], [0, 1]]
    assert predicted(plan) == [[], []]
