"""Writes checkpoints while training goes on, which stands still for a copy alone.

Each is written into a folder of another name, synced to the disk, and renamed when it is whole.
Where the model is sharded every process writes its own part, else the first one all.
"""

import os
import shutil
import threading
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from omnimask.foundation.checksums import NAME, checksum_line, write_checksums
from omnimask.foundation.errors import OmnimaskError
from omnimask.foundation.hardware import hardware
from omnimask.foundation.records import dump
from omnimask.foundation.versions import versions
from omnimask.training.checkpoint import (
    UNFINISHED,
    Checkpoint,
    list_checkpoints,
    name_of,
    write_json,
)
from omnimask.training.tensor_parts import Part, own_parts, parts_file, save_parts


def save_checkpoint(run: Path, checkpoint: Checkpoint[Any], *, keep: int) -> Path:
    """Writes `run/checkpoints/step-00000100` and waits for it; older ones beyond the last `keep`
    are removed afterwards. OmnimaskError where it cannot be written.
    """
    writer = CheckpointWriter(run, keep=keep)
    writer.begin(checkpoint)
    writer.wait()
    if writer.error is not None:
        raise writer.error
    return writer.target


class CheckpointWriter:
    """One process's part in writing the checkpoints of a run.

    `parts` is how many processes write, of which this is `part`; others have no writer. With
    several parts somebody has to `publish` when all are written.
    """

    def __init__(self, run: Path, *, keep: int, part: int = 0, parts: int = 1) -> None:
        self.run, self.keep, self.part, self.parts = run, keep, part, parts
        self.error: OmnimaskError | None = None
        self.target = self.unfinished = run
        self._thread: threading.Thread | None = None
        if part == 0:
            for leftover in (run / "checkpoints").glob(f"*{UNFINISHED}"):
                shutil.rmtree(leftover)

    @property
    def under_way(self) -> bool:
        """Whether a checkpoint was begun that is not published yet."""
        return self._thread is not None

    @property
    def written(self) -> bool:
        """Whether this process has done its part of it."""
        return self._thread is not None and not self._thread.is_alive()

    def begin(self, checkpoint: Checkpoint[Any]) -> None:
        """Copies the checkpoint into the host's memory and returns; the rest happens beside."""
        assert not self.under_way, "one at a time"
        self.target = self.run / "checkpoints" / name_of(int(checkpoint.state["step"]))
        self.unfinished = self.target.with_name(self.target.name + UNFINISHED)
        tensors = {
            "model": own_parts(checkpoint.weights, rank=self.part),
            "optimizer": own_parts(checkpoint.optimizer, rank=self.part),
        }
        records = {
            "state.json": {**checkpoint.state, "versions": versions(), "hardware": hardware()},
            "recipe.json": dump(checkpoint.recipe),
        }
        self._thread = threading.Thread(
            target=self._write, args=(tensors, records), name="checkpoint", daemon=True
        )
        self._thread.start()

    def wait(self) -> None:
        """Until this process has done its part; a checkpoint of one part is then published."""
        if self._thread is not None:
            self._thread.join()
            if self.parts == 1:
                self._thread = None

    def publish(self) -> None:
        """Gives the checkpoint its name; every process calls it, after all have written."""
        assert self.written, "all processes have agreed on that"
        self._thread = None
        if self.part == 0 and self.parts > 1:
            sums = sorted(self.unfinished.glob(f"{NAME}-*"))
            (self.unfinished / NAME).write_text("".join(path.read_text() for path in sums))
            for path in sums:
                path.unlink()
            _sync(self.unfinished / NAME)
            self._rename()

    def _write(self, tensors: dict[str, dict[str, Part]], records: dict[str, Any]) -> None:
        try:
            self._write_files(tensors, records)
            if self.parts == 1:
                self._rename()
        except OSError as error:
            self.error = self._explained(error, tensors)

    def _write_files(self, tensors: dict[str, dict[str, Part]], records: dict[str, Any]) -> None:
        folder, own = self.unfinished, []
        folder.mkdir(parents=True, exist_ok=True)
        for name, parts in tensors.items():
            own.append(folder / parts_file(name, part=self.part, parts=self.parts))
            _save(own[-1], parts, whole=self.parts == 1)
        if self.part == 0:
            for name, record in records.items():
                own.append(folder / name)
                write_json(own[-1], record)
        if self.parts == 1:
            write_checksums(folder)
            own.append(folder / NAME)
        else:
            lines = folder / f"{NAME}-{self.part:05d}"
            lines.write_text("".join(map(checksum_line, own)))
        for path in [*own, folder]:
            _sync(path)

    def _rename(self) -> None:
        _sync(self.unfinished)
        if self.target.exists():
            shutil.rmtree(self.target)
        self.unfinished.rename(self.target)
        _sync(self.target.parent)
        for old in list_checkpoints(self.run)[: -self.keep]:
            shutil.rmtree(old)

    def _explained(self, error: OSError, tensors: dict[str, dict[str, Part]]) -> OmnimaskError:
        shutil.rmtree(self.unfinished, ignore_errors=True)  # it may be what fills the disk
        parts = [part.values for group in tensors.values() for part in group.values()]
        needed = sum(values.nbytes for values in parts) / 2**20
        free = shutil.disk_usage(self.run).free / 2**20
        before = [folder.name for folder in list_checkpoints(self.run)]
        return OmnimaskError(
            f"{self.target} could not be written: {error}. It needs {needed:,.0f} MiB, {free:,.0f} "
            f"MiB are free. {f'{before[-1]} is whole' if before else 'There is none before it'}; "
            "free some space, or keep fewer with run.keep_checkpoints, and the same command goes on"
        )


def _save(path: Path, parts: dict[str, Part], *, whole: bool) -> None:
    """`save_parts`, whose own errors of the disk are no OSErrors."""
    try:
        save_parts(path, parts, whole=whole)
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
