"""The contract tests for plug-ins: what keeps the contract passes, and what breaks it is told."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from omnimask.masking import MaskPlan, RandomMask
from omnimask.templates.modality import ExampleFiles, ExampleSource, ExampleTokens
from omnimask.testing import check_masker, check_modality, check_recipe, made_tokens
from omnimask.testing.modalities import check_record
from omnimask.tokens.modality import Sample, Visit
from omnimask.tokens.tokens import Layout, Raw
from tests.unit.toy_recipe import toy_recipe


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(4):
        np.savetxt(tmp_path / f"{number}.example", np.sin(np.linspace(0, 3 + number, 64)))
    return tmp_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Plain(ExampleTokens):
    """As a plug-in has it: what is of the core must be known to it by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainFiles(ExampleFiles): ...


@dataclass(frozen=True, kw_only=True, slots=True)
class GivesBack(ExampleTokens):
    def join(self, values: Tensor, raw: Raw, /) -> Raw:
        return raw


@dataclass(frozen=True, kw_only=True, slots=True)
class Shifts(ExampleTokens):
    def join(self, values: Tensor, raw: Raw, /) -> Raw:
        return {**raw, "signal": values.flatten(1)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Miscounts(ExampleTokens):
    @property
    def extent(self) -> tuple[float, ...]:
        return (16.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Noisy(ExampleSource):
    def read(self, index: int, visit: Visit, /) -> Sample:
        return {"signal": torch.rand(64).numpy()}


@dataclass(frozen=True, kw_only=True, slots=True)
class NoisyFiles(ExampleFiles):
    def open(self, root: str, modality: ExampleTokens, /) -> Noisy:
        opened = ExampleFiles(path=self.path).open(root, modality)
        return Noisy(found=opened.found, modality=modality)


@pytest.mark.parametrize(
    ("modality", "said"),
    [
        (GivesBack(), "join must take the content from the values"),
        (Shifts(), r"join\(split\) changes signal"),
        (Miscounts(), r"coords must be \(4, 16, 2\)"),
    ],
)
def test_a_modality_that_breaks_the_contract_is_told(
    modality: ExampleTokens, said: str, data: Path
):
    check_modality(Plain(), PlainFiles(), data, compared={"signal": 1e-5})
    with pytest.raises(AssertionError, match=said):
        check_modality(modality, PlainFiles(), data, compared={"signal": 1e-5})


def test_a_reader_with_randomness_of_its_own_is_told(data: Path):
    with pytest.raises(AssertionError, match="the same key must read the same sample"):
        check_modality(Plain(), NoisyFiles(), data, compared={"signal": 1e-5})


@dataclass
class CanBeChanged:
    size: int = 1


def test_a_record_that_can_be_changed_is_told():
    with pytest.raises(AssertionError, match=r"must be @dataclass\(frozen=True\)"):
        check_record(CanBeChanged())


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaks(RandomMask):
    """Shows padding too."""

    def __call__(self, layout: Layout, *others: object) -> list[MaskPlan]:
        whole = replace(layout, valid=torch.ones_like(layout.valid))
        plans = RandomMask.__call__(self, whole, *others)  # pyright: ignore[reportArgumentType] as given
        ids = torch.arange(layout.num_tokens).expand(layout.valid.shape[0], -1)
        counts = (layout.num_tokens,) * layout.valid.shape[0]
        return [
            replace(p, visible_ids=ids, visible_ok=torch.ones_like(ids) > 0, num_visible=counts)
            for p in plans
        ]


def test_a_masker_that_shows_padding_is_told():
    tokens = {"toy": made_tokens(8, [8, 5])}
    check_masker(RandomMask(ratio=0.5), tokens)
    with pytest.raises(AssertionError, match="not valid must never be visible"):
        check_masker(Leaks(ratio=0.5), tokens)


def test_a_recipe_is_trained_twice(tmp_path: Path):
    check_recipe(toy_recipe(), tmp_path, steps=2)
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}
