"""Tensors in safetensors files: whole, or each process's part of those that are sharded.

Where a part lies stands in its file's header, in the words of torch.distributed.checkpoint, whose
`HuggingFaceStorageReader` reads these files as they are. Its other format pickles; this one cannot.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnimask.foundation.errors import DamageError

_SHARDING, _OFFSETS = "DCP_SHARDING_INFO", "saved_offsets"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A copy of a tensor, or of this process's part of it, in the host's memory."""

    values: Tensor
    offsets: tuple[int, ...]  # of its first element in the whole


def own_parts(tensors: Mapping[str, Tensor], *, rank: int) -> dict[str, Part]:
    """Copies of what the process `rank` writes: its parts, and of what is not sharded all or, but
    for the first process, nothing.
    """
    parts: dict[str, Part] = {}
    for name, tensor in tensors.items():
        part = _own_part(tensor.detach(), rank)
        if part is not None:
            parts[name] = part
    return parts


def _own_part(tensor: Tensor, rank: int) -> Part | None:
    if type(tensor) is Tensor:
        return Part(values=_copied(tensor), offsets=(0,) * tensor.ndim) if rank == 0 else None
    from torch.distributed.tensor import DTensor  # slow to import, and seldom needed
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    assert isinstance(tensor, DTensor), "tensors are whole or sharded"
    local = tensor.to_local()
    if local.numel() == 0:  # fewer rows than processes
        return None
    _, offsets = compute_local_shape_and_global_offset(
        tensor.shape, tensor.device_mesh, tensor.placements
    )
    return Part(values=_copied(local), offsets=tuple(offsets))


def _copied(tensor: Tensor) -> Tensor:
    return tensor.to("cpu", copy=True).contiguous()


def parts_file(name: str, *, part: int, parts: int) -> str:
    """Such as `model.safetensors`, or `model-00002-of-00004.safetensors` of part 1."""
    number = f"-{part + 1:05d}-of-{parts:05d}" if parts > 1 else ""
    return f"{name}{number}.safetensors"


def save_parts(path: Path, parts: Mapping[str, Part], *, whole: bool) -> None:
    """Writes one file; `whole` says that no tensor is anywhere else, too."""
    offsets = {name: {_OFFSETS: part.offsets} for name, part in parts.items()}
    header = None if whole else {_SHARDING: json.dumps(offsets)}
    save_file({name: part.values for name, part in parts.items()}, path, metadata=header)


def has_parts(folder: Path, name: str) -> bool:
    """Whether the folder has tensors under `name`."""
    return bool(_files(folder, name))


def load_parts(folder: Path, name: str) -> dict[str, Tensor]:
    """All tensors under `name`, put together; DamageError where a file cannot be read or misses."""
    files = _files(folder, name)
    if not files:
        raise DamageError(f"{folder / name}.safetensors is missing; copy it here again")
    if len(files) == 1 and files[0].name == parts_file(name, part=0, parts=1):
        return load_tensors(files[0])
    if files != [folder / parts_file(name, part=n, parts=len(files)) for n in range(len(files))]:
        raise DamageError(f"{folder}: of {files[0].name} and the others some are missing")
    found: dict[str, list[Part]] = {}
    for path in files:
        for key, part in _read_parts(path).items():
            found.setdefault(key, []).append(part)
    return {key: _together(parts) for key, parts in found.items()}


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The contents of a safetensors file; DamageError where it cannot be read."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DamageError(f"{path} cannot be read ({error}); copy it here again") from error


def _files(folder: Path, name: str) -> list[Path]:
    whole = folder / parts_file(name, part=0, parts=1)
    return [whole] if whole.exists() else sorted(folder.glob(f"{name}-*-of-*.safetensors"))


def _read_parts(path: Path) -> dict[str, Part]:
    tensors = load_tensors(path)
    with safe_open(path, framework="pt") as file:
        places = json.loads((file.metadata() or {})[_SHARDING])
    return {
        name: Part(values=values, offsets=tuple(places[name][_OFFSETS]))
        for name, values in tensors.items()
    }


def _together(parts: list[Part]) -> Tensor:
    first = parts[0].values
    if len(parts) == 1:
        return first
    ends = [[o + n for o, n in zip(part.offsets, part.values.shape)] for part in parts]
    whole = torch.empty([max(axis) for axis in zip(*ends)], dtype=first.dtype)
    for part, end in zip(parts, ends, strict=True):
        whole[tuple(slice(o, e) for o, e in zip(part.offsets, end))] = part.values
    return whole
