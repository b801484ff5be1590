"""Batch norm over several processes, here two that have the same rows."""

import pytest
import torch

from omnimask.transfer.finetuning import batch_norm
from omnimask.transfer.finetuning.batch_norm import BatchNorm


def test_two_processes_normalise_as_one_with_the_rows_of_both(monkeypatch: pytest.MonkeyPatch):
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    one, two = BatchNorm(4), BatchNorm(4)
    expected = one(torch.cat([x, x]))[:3]
    monkeypatch.setattr(batch_norm, "num_ranks", lambda: 2)
    monkeypatch.setattr(batch_norm, "sum_over_ranks", lambda part: 2 * part)
    torch.testing.assert_close(two(x), expected)
    for name, value in one.named_buffers():
        torch.testing.assert_close(two.get_buffer(name), value, msg=name)
    two.eval()
    torch.testing.assert_close(two(x), one.eval()(x))
