"""The checks of types and shapes that run in all tests notice what is wrong."""

from dataclasses import dataclass

import jaxtyping
import pytest
import torch
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from omnimask.foundation.rng import fold_key
from tests.shape_checks import checked


@checked(typechecker=beartype)
def rows(x: Float[Tensor, "n d"], count: int) -> Float[Tensor, "n d"]:
    return x[:count]


@checked(typechecker=beartype)
def first(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    return x


@checked(typechecker=beartype)
def by_name(x: "Float[Tensor, 'n d']") -> "Float[Tensor, 'd n']":
    return x


@checked(typechecker=beartype)
@dataclass(frozen=True)
class Pair:
    first: Float[Tensor, " n"]
    second: Float[Tensor, " n"]

    @property
    @checked(typechecker=beartype)
    def length(self) -> int:
        return len(self.first) / 1  # pyright: ignore[reportReturnType]


WRONG = {
    "argument": lambda: rows(torch.zeros(2), 2),
    "plain argument": lambda: rows(torch.zeros(2, 3), 2.0),
    "result": lambda: rows(torch.zeros(2, 3), 1),
    "two arguments": lambda: first(torch.zeros(2, 3), torch.zeros(2, 4)),
    "names": lambda: by_name(torch.zeros(2, 3)),
    "record": lambda: Pair(torch.zeros(2), torch.zeros(3)),
    "plain result": lambda: Pair(torch.zeros(2), torch.zeros(2)).length,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_noticed(wrong):
    with pytest.raises((BeartypeCallHintViolation, TypeCheckError)):
        wrong()


def test_a_letter_means_one_size_in_one_call_only():
    for count in (2, 3):
        assert rows(torch.zeros(count, 5), count).shape == (count, 5)
    assert by_name(torch.zeros(2, 2)).shape == (2, 2)


def test_they_are_on_in_our_packages():
    assert jaxtyping.jaxtyped is checked
    with pytest.raises(BeartypeCallHintViolation):
        fold_key(1.5)
