import torch

from omnimask.masking.columns import columns_of, spread
from tests.unit.masking_cases import layout, part

VIDEO = {"t": 4, "h": 2, "w": 3}


def span_of(num_valid: list[int]):
    return layout(video=part(VIDEO, num_valid)).spans[0]


def test_a_short_clip_has_whole_frames():
    columns = columns_of(span_of([24, 12]), ("h", "w"), 0.5)
    assert columns.sizes == (2, 3)
    assert columns.lengths == ((2, 2), (3, 3))
    assert columns.num_columns == (6, 6)
    assert columns.num_visible_columns == (3, 3)
    assert columns.num_visible == (12, 6)


def test_along_the_first_axis_a_short_clip_has_fewer_columns():
    columns = columns_of(span_of([24, 12, 6]), ("t",), 0.5)
    assert columns.lengths == ((4, 2, 1),)
    assert columns.num_visible_columns == (2, 1, 1)
    assert columns.num_visible == (12, 6, 6)  # one frame alone is shown


def test_a_cut_frame_counts_in_tokens():
    columns = columns_of(span_of([13, 0]), ("t",), 0.5)
    assert columns.lengths == ((3, 1),)
    assert columns.num_visible == (6, 0)


def test_tokens_get_the_score_of_their_column():
    scores = spread(torch.arange(8.0).reshape(1, 8), VIDEO, ("t", "h"))
    assert scores.reshape(4, 2, 3).tolist()[1] == [[2.0] * 3, [3.0] * 3]
