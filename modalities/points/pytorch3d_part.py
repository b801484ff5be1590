"""PyTorch3D's kernels, for clouds on a CUDA device where that package is installed with them."""

import logging
from functools import cache
from typing import Any

import torch

_DEVICES = ("cuda",)

_log = logging.getLogger(__name__)


def pytorch3d_ops(device: torch.device) -> Any | None:
    """`pytorch3d.ops` where its kernels work on devices of this type; None means plain torch."""
    return _choice(device.type)[0] if device.type in _DEVICES else None


def pytorch3d_state() -> str:
    """What groups points and finds neighbours on a CUDA device, and why."""
    return _choice("cuda")[1] if torch.cuda.is_available() else "torch: there is no CUDA device"


@cache
def _choice(device: str) -> tuple[Any | None, str]:
    """Made once per process, by using the kernels: a build without CUDA imports like any other, and
    raises `RuntimeError` when it is called."""
    try:
        import pytorch3d  # pyright: ignore[reportMissingImports] optional, no wheel on the index
        from pytorch3d import ops  # pyright: ignore[reportMissingImports]

        point = torch.zeros(1, 1, 3, device=device)
        ops.knn_points(point, point)
        ops.sample_farthest_points(point, K=1)
        chosen = ops, f"pytorch3d {pytorch3d.__version__}"
    except (ImportError, OSError, RuntimeError) as error:
        chosen = None, f"torch: pytorch3d does not work ({str(error).partition(chr(10))[0]})"
    _log.info("neighbours and farthest points on %s: %s", device, chosen[1])
    return chosen
