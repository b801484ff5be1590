"""Every masker on a GPU: bit-equal to the CPU, with synchronisation made an error."""

from dataclasses import replace

import torch

from omnimask.rng import Rng
from omnimask.tokens import Layout
from tests.unit.masking_cases import CASES, keys, predicted, visible


def check_every_masker() -> None:
    for name, case in CASES.items():
        rng = keys(case.layout.valid.shape[0])
        (plan,) = case.masker(case.layout, rng)
        whole, moved = _to_gpu(case.layout), Rng(keys=rng.keys.cuda())
        case.masker(whole, moved)  # host counts of ragged rows are copied once and kept
        torch.cuda.set_sync_debug_mode("error")
        try:
            (on_gpu,) = case.masker(whole, moved)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert visible(on_gpu) == visible(plan), name
        assert predicted(on_gpu) == predicted(plan), name


def _to_gpu(whole: Layout) -> Layout:
    return Layout(
        spans=tuple(replace(span, coords=span.coords.cuda()) for span in whole.spans),
        valid=whole.valid.cuda(),
        scorable=whole.scorable.cuda(),
    )
