import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnimask.tokens.packing import interleave, pack, row_of_token, separate, unpack

lengths = st.lists(st.integers(0, 4), min_size=1, max_size=5).map(tuple)


def test_packing_by_hand():
    padded = torch.tensor([[1, 2, 3], [4, 0, 0], [5, 6, 0]])
    packed = pack(padded, (3, 1, 2))
    assert packed.tolist() == [1, 2, 3, 4, 5, 6]
    assert unpack(packed, (3, 1, 2)).tolist() == padded.tolist()


def test_interleaving_by_hand():
    joined, rows = interleave(
        [(torch.tensor([1, 2, 3]), (1, 2)), (torch.tensor([10, 20, 30]), (2, 1))]
    )
    assert joined.tolist() == [1, 10, 20, 2, 3, 30]
    assert rows == (3, 3)


@given(lengths=lengths)
@settings(max_examples=50, deadline=None)
def test_unpack_undoes_pack(lengths: tuple[int, ...]):
    packed = torch.randn(sum(lengths), 2)
    assert torch.equal(pack(unpack(packed, lengths), lengths), packed)


@given(first=lengths, data=st.data())
@settings(max_examples=50, deadline=None)
def test_separate_undoes_interleave(first: tuple[int, ...], data: st.DataObject):
    size = len(first)
    second = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size).map(tuple))
    parts = [(torch.randn(sum(first), 2), first), (torch.randn(sum(second), 2), second)]
    joined, rows = interleave(parts)
    assert rows == tuple(a + b for a, b in zip(first, second))
    for (part, _), again in zip(parts, separate(joined, [first, second])):
        assert torch.equal(part, again)


@pytest.mark.parametrize("size", [(2, 2, 2), (1, 3, 2)])
def test_gradients_pass_through(size: tuple[int, ...]):
    packed = torch.randn(sum(size), 3, requires_grad=True)
    joined, _ = interleave([(packed, size), (torch.ones(len(size), 3), (1,) * len(size))])
    joined.sum().backward()
    assert torch.equal(packed.grad, torch.ones_like(packed))


def test_rows_may_be_padded_beyond_the_longest():
    padded = torch.tensor([[1, 2, 0, 0], [3, 0, 0, 0]])
    assert pack(padded, (2, 1)).tolist() == [1, 2, 3]
    assert unpack(torch.tensor([1, 2, 3]), (2, 1), width=4).tolist() == padded.tolist()


def test_every_packed_token_knows_its_row():
    assert row_of_token((2, 0, 3), torch.device("cpu")).tolist() == [0, 0, 2, 2, 2]
