"""What is sent by workers arrives as it was, in one piece of memory."""

import numpy as np
import pytest
import torch

from omnimask.data.parcels import num_bytes, pack, unpack

VALUES = {
    "bytes": torch.arange(5, dtype=torch.uint8),
    "cut": torch.arange(24.0).reshape(2, 3, 4)[:, ::2].transpose(0, 2),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "flag": torch.tensor([True, False]),
    "one": torch.tensor(3, dtype=torch.int64),
    "none": torch.zeros(0, 3),
    "array": np.arange(6, dtype=np.int16)[::2],
    "number": np.array(2.5),
}


@pytest.mark.parametrize("name", VALUES)
def test_numbers_arrive_as_they_were(name: str):
    value = VALUES[name]
    (found,) = unpack(pack([{"part": {"before": torch.ones(3), name: value}}]))
    got = found["part"][name]
    assert type(got) is type(value)
    assert (got.dtype, tuple(got.shape)) == (value.dtype, tuple(value.shape))
    assert (
        np.array_equal(
            torch.as_tensor(got).float().numpy(), torch.as_tensor(np.asarray(value)).float().numpy()
        )
        if isinstance(value, np.ndarray)
        else torch.equal(got, value)
    )


def test_all_else_is_left_alone():
    samples = [{"part": {"table": "a", "cells": {"x": 1.5, "y": None}, "dates": (1, 2)}}]
    assert unpack(pack(samples)) == samples


def test_many_tensors_are_one():
    samples = [{"part": {"x": torch.full((100,), float(n))}} for n in range(50)]
    parcel = pack(samples)
    storages = {found["part"]["x"].untyped_storage().data_ptr() for found in unpack(parcel)}
    assert storages == {parcel.bytes.untyped_storage().data_ptr()}
    assert [int(found["part"]["x"][7]) for found in unpack(parcel)] == list(range(50))
    assert 400 <= num_bytes(samples[0]) < 2000
