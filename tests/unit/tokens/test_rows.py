import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnimask.tokens.tokens import Rows

lengths = st.lists(st.integers(0, 4), min_size=1, max_size=5).map(tuple)


def test_packing_by_hand():
    padded = torch.tensor([[1, 2, 3], [4, 0, 0], [5, 6, 0]])
    packed = Rows.of((3, 1, 2)).pack(padded)
    assert packed.tolist() == [1, 2, 3, 4, 5, 6]
    assert Rows.of((3, 1, 2)).unpack(packed).tolist() == padded.tolist()


def test_joining_by_hand():
    rows = Rows.of((1, 2), (2, 1))
    joined = rows.join(torch.tensor([1, 2, 3]), torch.tensor([10, 20, 30]))
    assert joined.tolist() == [1, 10, 20, 2, 3, 30]
    assert rows.lengths == (3, 3)


@given(lengths=lengths)
@settings(max_examples=50, deadline=None)
def test_unpack_undoes_pack(lengths: tuple[int, ...]):
    rows, packed = Rows.of(lengths), torch.randn(sum(lengths), 2)
    assert torch.equal(rows.pack(rows.unpack(packed)), packed)


@given(first=lengths, data=st.data())
@settings(max_examples=50, deadline=None)
def test_split_undoes_join(first: tuple[int, ...], data: st.DataObject):
    size = len(first)
    second = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size).map(tuple))
    parts = [torch.randn(sum(first), 2), torch.randn(sum(second), 2)]
    rows = Rows.of(first, second)
    assert rows.lengths == tuple(a + b for a, b in zip(first, second))
    for part, again in zip(parts, rows.split(rows.join(*parts)), strict=True):
        assert torch.equal(part, again)


@pytest.mark.parametrize("size", [(2, 2, 2), (1, 3, 2)])
def test_gradients_pass_through(size: tuple[int, ...]):
    packed = torch.randn(sum(size), 3, requires_grad=True)
    joined = Rows.of(size, (1,) * len(size)).join(packed, torch.ones(len(size), 3))
    joined.sum().backward()
    assert torch.equal(packed.grad, torch.ones_like(packed))


def test_rows_may_be_padded_beyond_the_longest():
    padded = torch.tensor([[1, 2, 0, 0], [3, 0, 0, 0]])
    assert Rows.of((2, 1)).pack(padded).tolist() == [1, 2, 3]
    assert Rows.of((2, 1)).unpack(torch.tensor([1, 2, 3]), width=4).tolist() == padded.tolist()


def test_every_packed_token_knows_its_row():
    assert Rows.of((2, 0, 3)).row_of_token(torch.device("cpu")).tolist() == [0, 0, 2, 2, 2]
