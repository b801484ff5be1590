from dataclasses import replace

import torch

from omnimask.tokens.tokens import Layout, Tokens
from tests.unit.masking_cases import part


def test_dense_tokens_are_all_valid_and_scorable():
    coords = torch.arange(6.0).reshape(3, 2)
    tokens = Tokens.dense(torch.zeros(4, 3, 5), coords, grid={"h": 3})
    assert tokens.valid.all()
    assert tokens.scorable.all()
    assert tokens.num_valid == tokens.num_scorable == (3, 3, 3, 3)
    assert tokens.coords.shape == (4, 3, 2)
    assert torch.equal(tokens.coords[3], coords)
    assert tokens.grid == {"h": 3}


def test_dense_tokens_take_coordinates_per_sample():
    coords = torch.rand(4, 3, 2)
    assert torch.equal(Tokens.dense(torch.zeros(4, 3, 5), coords).coords, coords)


def two() -> dict:
    return {"image": part({"h": 2, "w": 2}, [4, 2]), "cloud": part(3, [3, 1], extra=1)}


def test_a_layout_joins_modalities_in_order():
    layout = Layout.of(two())
    assert [(s.modality, s.start, s.stop, len(s)) for s in layout.spans] == [
        ("image", 0, 4, 4),
        ("cloud", 4, 7, 3),
    ]
    assert layout.valid.int().tolist() == [[1, 1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 0, 0]]
    assert layout.scorable.int().tolist() == [[1, 1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1, 0]]
    assert layout.spans[1].num_scorable == (3, 2)
    assert layout.spans[0].grid == {"h": 2, "w": 2}


def test_only_is_the_layout_of_one_span_alone():
    layout, alone = Layout.of(two()), Layout.of({"cloud": two()["cloud"]})
    cut = layout.only(layout.spans[1])
    assert (cut.spans[0].start, cut.spans[0].stop) == (0, 3)
    assert torch.equal(cut.valid, alone.valid)
    assert torch.equal(cut.scorable, alone.scorable)
    assert torch.equal(cut.spans[0].coords, alone.spans[0].coords)


def test_repeat_puts_copies_of_a_sample_next_to_each_other():
    parts = two()
    parts["cloud"] = replace(parts["cloud"], coords=torch.rand(2, 3, 3))
    layout = Layout.of(parts)
    repeated = layout.repeat(3)
    assert torch.equal(repeated.valid, layout.valid[[0, 0, 0, 1, 1, 1]])
    assert torch.equal(repeated.scorable, layout.scorable[[0, 0, 0, 1, 1, 1]])
    for span, many in zip(layout.spans, repeated.spans, strict=True):
        assert torch.equal(many.coords, span.coords[[0, 0, 0, 1, 1, 1]])
        assert many.num_valid == tuple(n for n in span.num_valid for _ in range(3))
        assert many.num_scorable == tuple(n for n in span.num_scorable for _ in range(3))
    assert layout.repeat(1) is layout
