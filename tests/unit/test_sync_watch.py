"""The watch finds every way of waiting that a step could contain; harmless operations pass."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.sync_watch import SyncWatch

X = torch.arange(12.0).reshape(4, 3).requires_grad_()
MASK = X > 5
IDS = torch.tensor([1, 2])

WAITS = {
    "item": lambda: X[0, 0].detach().item(),
    "float": lambda: float(X[0, 0].detach()),
    "if": lambda: bool(MASK.any()),
    "equal": lambda: torch.equal(X, X),
    "allclose": lambda: torch.allclose(X, X),
    "boolean mask": lambda: X[MASK],
    "assignment through a mask": lambda: X.detach().clone().__setitem__(MASK, torch.ones(6)),
    "masked_select": lambda: X.masked_select(MASK),
    "nonzero": lambda: MASK.nonzero(),
    "where with one argument": lambda: torch.where(MASK),
    "unique": lambda: IDS.unique(),
    "unique_consecutive": lambda: IDS.unique_consecutive(),
    "repeat_interleave": lambda: IDS.repeat_interleave(IDS),
    "one_hot that looks for its size": lambda: F.one_hot(IDS),
    "bincount": lambda: IDS.bincount(),
}

HARMLESS = {
    "gather": lambda: X.gather(0, IDS[:, None].expand(2, 3)),
    "index by ids": lambda: X[IDS],
    "masked_fill": lambda: X.masked_fill(MASK, 0.0),
    "where": lambda: torch.where(MASK, X, 0.0),
    "sort": lambda: X.sort(dim=1),
    "repeat_interleave of known size": lambda: IDS.repeat_interleave(IDS, output_size=3),
    "fill through a mask": lambda: X.detach().clone().__setitem__(MASK, 0.0),
    "arange": lambda: torch.arange(3) * 2.0,
    "backward": lambda: X.square().sum().backward(),
}

HOST_COPIES = {
    "numbers": lambda: torch.tensor([1.0, 2.0]),
    "NumPy": lambda: torch.from_numpy(np.ones(2)),
    "index by a list": lambda: X[:, [0, 2]],
}


@pytest.mark.parametrize("name", WAITS)
def test_waiting_is_found_with_its_line(name: str) -> None:
    wait: Callable[[], object] = WAITS[name]
    with SyncWatch() as watch:
        wait()
    assert watch.waits
    assert "tests/unit/test_sync_watch.py" in watch.report()


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_operations_pass(name: str) -> None:
    with SyncWatch() as watch:
        HARMLESS[name]()
    assert not watch.waits, watch.report()
    assert not watch.host_copies, watch.report()


@pytest.mark.parametrize("name", HOST_COPIES)
def test_copies_from_the_host_are_found(name: str) -> None:
    with SyncWatch() as watch:
        HOST_COPIES[name]()
    assert watch.host_copies
    assert not watch.waits
