"""What a few pooled raw values of a sample say: the features that a good one must beat."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from omnimask.data.samples import Unreadable, read_batches
from omnimask.data.streams import StreamReader
from omnimask.network.pooling import pool
from omnimask.tokens.tokens import Group
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

Raw = Any  # of one modality of a group, as its reader collates it


@torch.no_grad()
def read_features(
    reader: StreamReader, indices: Sequence[int], encoders: Sequence[PretrainedEncoder]
) -> list[Float[np.ndarray, "n d"]]:
    """Of some samples of a stream: raw values first, then each encoder's mean feature."""
    parts: list[list[np.ndarray]] = [[] for _ in range(1 + len(encoders))]
    unreadable = Unreadable()
    for batch in read_batches(reader, indices, unreadable, device=torch.device("cpu")):
        parts[0].append(raw_features(batch.group))
        for part, encoder in zip(parts[1:], encoders, strict=True):
            part.append(pool(encoder(batch.group)).double().numpy())
    assert not unreadable.errors, unreadable.errors
    return [np.concatenate(part) for part in parts]


def raw_features(group: Group) -> Float[np.ndarray, "b d"]:
    """Of a group of one modality."""
    ((name, raw),) = group.raw.items()
    return torch.nan_to_num(_POOLED.get(name, _any)(raw)).double().numpy()


def _image(raw: Raw) -> Tensor:
    """Mean and deviation of each colour, and the picture at 8 x 8 pixels."""
    pixels = raw["pixels"].float()
    coarse = F.adaptive_avg_pool2d(pixels, 8).flatten(1)
    return torch.cat([pixels.mean((2, 3)), pixels.std((2, 3)), coarse], dim=1)


def _video(raw: Raw) -> Tensor:
    """The mean frame and the change over time at 6 x 6 pixels, and the change from frame to
    frame."""
    frames = raw["frames"].float()
    mean = F.adaptive_avg_pool2d(frames.mean(1), 6).flatten(1)
    change = F.adaptive_avg_pool2d(frames.std(1), 6).mean(1).flatten(1)
    steps = frames.diff(dim=1).abs().mean((2, 3, 4))
    return torch.cat([mean, change, steps, frames.mean((1, 3, 4)), frames.std((1, 3, 4))], dim=1)


def _audio(raw: Raw) -> Tensor:
    """The mean spectrum and its deviation over time, and the loudness in eight parts of it."""
    logmel = raw["logmel"].float()
    loudness = F.adaptive_avg_pool1d(logmel.mean(2)[:, None], 8)[:, 0]
    return torch.cat([logmel.mean(1), logmel.std(1), loudness], dim=1)


def _points(raw: Raw) -> Tensor:
    """Middle, extent and deviation along each axis; deciles of height and of radius."""
    rows = []
    for xyz, ok in zip(raw["xyz"], raw["point_ok"], strict=True):
        places = xyz[ok].float()
        radius = places[:, :2].norm(dim=1)
        shares = torch.linspace(0, 1, 11)
        rows.append(
            torch.cat(
                [
                    *(places.mean(0), places.std(0), places.amin(0), places.amax(0)),
                    *(places[:, 2].quantile(shares), radius.quantile(shares)),
                    (places.T @ places / len(places)).flatten(),
                ]
            )
        )
    return torch.stack(rows)


def _voxels(raw: Raw) -> Tensor:
    """How many voxels and points there are, where they lie on the whole, and at which heights."""
    count, cell, occupied = raw["count"].float(), raw["cell"].float(), raw["occupied"]
    rows = []
    for counts, cells, there in zip(count, cell, occupied, strict=True):
        counts, cells = counts[there], cells[there]
        heights = torch.bincount(cells[:, 2].long(), counts, minlength=16)[:16]
        number = torch.tensor([len(counts), counts.sum(), counts.max()]).float()
        moments = [cells.mean(0), cells.std(0), counts.mean()[None], counts.std()[None]]
        rows.append(torch.cat([number, *moments, heights]))
    return torch.stack(rows)


def _table(raw: Raw) -> Tensor:
    """Every cell: a number, or one number per category; and whether it is there."""
    blocks = [raw["present"].float()]
    for column in range(raw["number"].shape[1]):
        there = raw["present"][:, column, None].float()
        categories = int(raw["num_categories"][0, column])
        if categories > 1:
            codes = raw["code"][:, column].clamp(0, categories - 1).long()
            blocks.append(F.one_hot(codes, categories).float() * there)
        else:
            blocks.append(raw["number"][:, column, None].float().nan_to_num() * there)
    return torch.cat(blocks, dim=1)


def _any(raw: Raw) -> Tensor:
    """Of a modality without features of its own here: mean, deviation and 64 means in order, of
    every part that holds numbers with a point."""
    parts = [part for part in raw.values() if isinstance(part, Tensor) and part.is_floating_point()]
    flat = [part.flatten(1).float() for part in parts]
    coarse = [F.adaptive_avg_pool1d(part[:, None], 64)[:, 0] for part in flat]
    spread = [torch.stack([part.mean(1), part.std(1)], dim=1) for part in flat]
    return torch.cat([*spread, *coarse], dim=1)


_POOLED: dict[str, Callable[[Raw], Tensor]] = {
    "image": _image,
    "video": _video,
    "audio": _audio,
    "points": _points,
    "voxels": _voxels,
    "table": _table,
}
