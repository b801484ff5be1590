"""Batches of one step after another, read by worker processes ahead of time.

Workers share every group: each reads a part of its samples, so that the first step is there after a
share of the time, and few samples wait in memory. Parts come back in order, and a thread puts them
together while the step before is trained. What a batch holds depends on none of it.
"""

import faulthandler
import math
import signal
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch.utils.data import DataLoader, Dataset

from omnimask.data.parcels import Parcel, num_bytes, pack, unpack
from omnimask.data.streams import Part, SamplesRead, StepBatch, Steps, StreamReader
from omnimask.foundation.errors import DataError, OmnimaskError
from omnimask.tokens.modality import Visit
from omnimask.tokens.tokens import Group

_SMALLEST_PART = 1 << 22  # bytes; below, sending costs more than sharing gains
_UNKNOWN_SAMPLE = 1 << 20  # bytes of one that cannot be read
_STEPS_AHEAD = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Ahead:
    """How workers share the reading: by stream, the most samples of a part, and how many parts each
    worker has ready or at hand.
    """

    most: Mapping[str, int]
    parts_per_worker: int


def plan_ahead(steps: Steps, *, num_workers: int, budget: int) -> Ahead:
    """Two steps ahead where `budget` bytes hold their samples, else as much as they do; never less
    than one sample for each worker.
    """
    most, sizes = {}, {}
    for reader in steps.readers:
        name, size = reader.stream.name, sample_bytes(reader)
        # With a mixture a step may have one sample more than another.
        largest = steps.composition.sizes(steps.shard.start_step)[name]
        shared = max(math.ceil(largest / num_workers), _SMALLEST_PART // size)
        affordable = budget // (num_workers * size)
        most[name] = max(min(shared, affordable), 1)
        sizes[name] = min(most[name], largest) * size
    parts = len(steps.parts(steps.shard.start_step, most))
    wanted = math.ceil(_STEPS_AHEAD * parts / num_workers)
    affordable = budget // (num_workers * max(sizes.values()))
    return Ahead(most=most, parts_per_worker=max(min(wanted, affordable), 1))


def sample_bytes(reader: StreamReader) -> int:
    """Of the first sample that a run reads: what one takes on its way."""
    ((index, epoch),) = reader.places(0, 1)
    try:
        return num_bytes(reader.read(index, Visit(key=reader.key(index, epoch))))
    except DataError:
        return _UNKNOWN_SAMPLE


def load_steps(
    steps: Steps, *, num_workers: int, pin_memory: bool, budget_mb: int = 4096
) -> Generator[StepBatch | OmnimaskError, None, None]:
    """Batches of the remaining steps in order, or why there is none: a process alone must not
    raise, others wait. `budget_mb` bounds what workers hold ready, in MiB.
    """
    remaining = range(steps.shard.start_step, len(steps))
    if not num_workers or not remaining:
        for step in remaining:
            yield _made(steps, step, pin_memory=pin_memory)
        return
    ahead = plan_ahead(steps, num_workers=num_workers, budget=budget_mb << 20)
    loader = DataLoader(
        _Parts(steps),
        batch_size=None,
        sampler=_InOrder(steps, remaining, ahead),
        num_workers=num_workers,
        prefetch_factor=ahead.parts_per_worker,
        worker_init_fn=_outlive_signals,
    )
    read = iter(loader)  # starts the workers, before there is a second thread
    device = torch.cuda.current_device() if pin_memory else None

    def next_step(step: int) -> StepBatch | OmnimaskError:
        parts = [next(read) for _ in steps.parts(step, ahead.most)]
        return _put_together(steps, step, parts, pin_memory=pin_memory)

    with ThreadPoolExecutor(1, "batches", _on_device, (device,)) as thread:
        coming = thread.submit(next_step, remaining[0])
        for step in remaining:
            batch = coming.result()
            if step + 1 in remaining:
                coming = thread.submit(next_step, step + 1)
            yield batch


def _made(steps: Steps, step: int, *, pin_memory: bool) -> StepBatch | OmnimaskError:
    try:
        batch = steps[step]
    except OmnimaskError as error:
        return _sendable(error)
    return batch.pin_memory() if pin_memory else batch


def _put_together(
    steps: Steps, step: int, parts: list["_Sent"], *, pin_memory: bool
) -> StepBatch | OmnimaskError:
    read: list[SamplesRead] = []
    for part in parts:
        if isinstance(part, OmnimaskError):
            return part
        head, sent = part
        if isinstance(sent, Parcel):
            read.append(replace(head, samples=unpack(sent)))
        else:
            read.append(replace(head, group=sent))
    try:
        batch = steps.assembled(step, read)
    except OmnimaskError as error:
        return _sendable(error)
    return batch.pin_memory() if pin_memory else batch


def _on_device(device: int | None) -> None:
    if device is not None:
        torch.cuda.set_device(device)


def _outlive_signals(worker: int) -> None:
    """Schedulers signal the whole process group; the main process decides when workers end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR2, file=2)  # a watchdog asks where a worker hangs


_Sent = tuple[SamplesRead, Parcel | Group] | OmnimaskError


@dataclass(frozen=True, slots=True)
class _InOrder:
    """The parts of all remaining steps, one after another."""

    steps: Steps
    remaining: range
    ahead: Ahead

    def __iter__(self) -> Iterator[Part]:
        for step in self.remaining:
            yield from self.steps.parts(step, self.ahead.most)


class _Parts(Dataset[_Sent]):
    """By part, its group where it is a whole one, else its samples in a parcel; or why they cannot
    be read.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def __getitem__(self, part: Part) -> _Sent:
        try:
            read = self.steps.read(part)
            head = replace(read, samples=())
            if part.is_whole:
                return head, self.steps.group([read])
        except OmnimaskError as error:
            return _sendable(error)
        return head, pack(read.samples)


def _sendable(error: OmnimaskError) -> OmnimaskError:
    """Without its traceback, which no process can send."""
    return type(error)(str(error))
