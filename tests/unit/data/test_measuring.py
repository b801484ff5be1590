"""Statistics see the same samples in the same order, whoever reads them."""

import pytest
import torch

from omnimask.data import measuring
from omnimask.data.measuring import WithWorkers, measured_samples
from omnimask.foundation.errors import DataError
from tests.unit.toy import Toy, ToyFiles, ToySource


def source_of(bad: tuple[int, ...] = ()) -> ToySource:
    return ToySource(ToyFiles(num_samples=11, bad=bad), Toy())


@pytest.mark.parametrize("patience_s", [0.0, 60.0])
def test_workers_change_nothing(patience_s: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measuring, "_PATIENCE_S", patience_s)
    alone = [torch.from_numpy(sample["wave"]) for sample in measured_samples(source_of(), 5)]
    shared = measured_samples(WithWorkers(source_of(), 2), 5)
    assert len(alone) == 5
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one, torch.from_numpy(other["wave"]))


def test_of_few_samples_each_is_measured_once():
    assert len(list(measured_samples(source_of(), 256))) == 11


def test_an_error_of_a_worker_is_raised(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measuring, "_PATIENCE_S", 0.0)
    with pytest.raises(DataError, match="train-005"):
        list(measured_samples(WithWorkers(source_of(bad=(5,)), 2), 11))
