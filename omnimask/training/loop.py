"""The training loop: one step after another, checkpoints, stopping and going on."""

import errno
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, set_seed
from torch import nn

from omnimask.data.loading import load_steps
from omnimask.data.streams import Shard, StepBatch, Steps, check_alike
from omnimask.foundation.collective import HostMeeting, named_losses
from omnimask.foundation.determinism import same_sums_on_cpu
from omnimask.foundation.errors import OmnimaskError
from omnimask.foundation.memory import keep_freed_memory
from omnimask.foundation.reloading import check_reloadable
from omnimask.recipe.batch_share import check_share
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.training.checkpoint import Checkpoint, last_checkpoint, set_aside, sound_checkpoint
from omnimask.training.checkpoints import Checkpoints
from omnimask.training.going_on import check_going_on, lengthening
from omnimask.training.job import Job
from omnimask.training.launching import Launch, read_launch, without_wrapping
from omnimask.training.metrics import Probing, StepMeter
from omnimask.training.optimisation import Training, load_optimizer_tensors, step_once
from omnimask.training.progress import say
from omnimask.training.run_folder import Drawing, RunLog, claim_run_folder, set_repeated_aside
from omnimask.training.sharding import shard_model
from omnimask.training.stop_signal import StopSignal, stopped
from omnimask.training.trackers import check_tracker
from omnimask.training.watchdog import Watchdog


def carry_out(
    job: Job, out: Path, probing: Probing | None = None, drawing: Drawing | None = None
) -> Path:
    """Does `job` in the run folder `out`, going on from its last sound checkpoint if it has one.

    `probing` makes what is measured of the model every `run.probe_every` steps, `drawing` its
    pictures every `run.pictures_every`.

    Returns the last checkpoint's folder. RecipeError, before anything is written, if `out` belongs
    to another recipe, if the recipe could not be loaded again, or if none of the checkpoints is
    sound; DataError for files that cannot be read; OmnimaskError after too many non-finite steps in
    a row.
    """
    with StopSignal() as stop, named_losses(), _explained_disk(out):
        return _carry_out(job, out, probing, drawing, stop)


def _carry_out(
    job: Job, out: Path, probing: Probing | None, drawing: Drawing | None, stop: StopSignal
) -> Path:
    recipe = job.recipe
    check_reloadable(recipe)
    launch = read_launch(recipe)
    accelerator = _accelerator(recipe, out, launch)
    check_share(recipe, accelerator.num_processes)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    claim_run_folder(out, recipe, write=False)
    resumed = _resumed(out, accelerator)
    check_going_on(out, recipe, resumed)
    say(lengthening(recipe, resumed))
    training = _set_up(job, accelerator, launch, resumed)
    check_alike(training.steps.readers)
    meter = StepMeter(job, accelerator, probing)
    start = training.steps.shard.start_step
    # Only now, so that a recipe whose data or teacher is refused leaves no folder behind.
    if accelerator.is_main_process:
        claim_run_folder(out, recipe, write=True)
        set_repeated_aside(out, start)
    accelerator.wait_for_everyone()
    if resumed is None or not resumed.state.get("ended", False):  # a job may end before its time
        meeting = HostMeeting(timeout_s=recipe.run.step_timeout_s)
        log = RunLog(
            out, training.recipe, accelerator=accelerator, start_step=start, meeting=meeting
        )
        with (
            log,
            same_sums_on_cpu(accelerator.device),
            Checkpoints(training, out, meeting) as checkpoints,
        ):
            stop.stepping = True
            _loop(training, meter, log, drawing, checkpoints, stop)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return last_checkpoint(out)


@contextmanager
def _explained_disk(out: Path) -> Iterator[None]:
    """A full disk is an error of a line, whatever was being written."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OmnimaskError(
            f"{error.filename or out} could not be written: {error.strerror}. Checkpoints that are "
            "there are whole; free some space, and the same command goes on"
        ) from error


def _resumed(out: Path, accelerator: Accelerator) -> Checkpoint[Any] | None:
    """What the run goes on from. Newer checkpoints that are damaged are set aside and named."""
    checkpoint, damaged = sound_checkpoint(out)
    accelerator.wait_for_everyone()  # all have looked before anything is renamed
    if accelerator.is_main_process and checkpoint is not None:
        for folder, damage in damaged.items():
            print(
                f"{damage}. It is now called {set_aside(folder).name}, and the run goes on from "
                f"step {checkpoint.state['step']}",
                file=sys.stderr,
            )
    return checkpoint


def _accelerator(recipe: RunRecipe, out: Path, launch: Launch) -> Accelerator:
    tracker = recipe.run.tracker
    check_tracker(tracker)
    patience = timedelta(seconds=recipe.run.step_timeout_s)
    with without_wrapping():
        return Accelerator(
            # Said outright, or several processes on CPUs would not find one another.
            cpu=not torch.accelerator.is_available(),
            mixed_precision="bf16" if launch.precision == "bf16" else "no",
            log_with=None if tracker == "none" else tracker,
            project_dir=str(out),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=patience)],
        )


def _set_up(
    job: Job, accelerator: Accelerator, launch: Launch, resumed: Checkpoint[Any] | None
) -> Training:
    set_seed(job.recipe.seed)
    model = job.prepare(resumed)
    assert isinstance(model, nn.Module), "what learns has weights"
    check_reloadable(job.recipe)  # with its statistics, as checkpoints have it
    sharded = launch.sharded and accelerator.num_processes > 1
    wrapped = (
        shard_model(model, accelerator.device, reshard=launch.reshard)
        if sharded
        else accelerator.prepare_model(model)
    )
    optimizer = job.optimizer()
    if resumed is not None:
        load_optimizer_tensors(model, optimizer, resumed.optimizer)
    shard = Shard(
        rank=accelerator.process_index,
        world=accelerator.num_processes,
        start_step=int(resumed.state["step"]) if resumed else 0,
        samples_seen=resumed.state["samples_seen"] if resumed else None,
    )
    return Training(
        job=job,
        accelerator=accelerator,
        model=model,
        wrapped=wrapped,
        optimizer=optimizer,
        steps=Steps(job.recipe, job.open_streams(), shard),
        sharded=sharded,
    )


def _loop(
    training: Training,
    meter: StepMeter,
    log: RunLog,
    drawing: Drawing | None,
    checkpoints: Checkpoints,
    stop: StopSignal,
) -> None:
    recipe, run, out = training.recipe, training.recipe.run, log.out
    start, last = training.steps.shard.start_step, recipe.optim.steps
    training.wrapped.train()
    with (
        Watchdog(out, training.steps, timeout_s=run.step_timeout_s) as watchdog,
        closing(_batches(training)) as batches,
    ):
        for step in range(start, last):
            watchdog.step_begins(step)
            started = time.perf_counter()
            made = next(batches)
            meter.waited(time.perf_counter() - started)
            watchdog.has_batch(made)
            # All that the processes have to agree on before a step, in one message.
            news, number, failed = checkpoints.meeting.most(
                [log.bad_files.has_news(made), stop.number, checkpoints.failed]
            )
            if failed:
                checkpoints.raise_failure()
            if number:
                _stop(training, meter, log, checkpoints, number=number, step=step)
            batch = log.bad_files.agree(made, news=bool(news))
            done = step + 1
            logs = done == last or done % run.log_every == 0 or meter.probes_due(done)
            meter.add(step_once(training, batch, watch=logs), batch)
            if logs:
                _write_log(meter, log, done)
                _stop_if_dead(meter.skipped_in_a_row, run.max_nonfinite_steps)
            watchdog.pauses()  # what follows is no step, and may take its time
            draws = run.pictures_every and (done == last or done % run.pictures_every == 0)
            if drawing is not None and draws and log.is_main:
                log.pictures(drawing(training.model), done)
            ended = training.job.check(done, out, write=log.is_main)
            if done == last or ended or done % run.checkpoint_every == 0:
                checkpoints.begin(done)
            if ended:
                break
    checkpoints.finish()


def _write_log(meter: StepMeter, log: RunLog, step: int) -> None:
    log.step(meter.summary(step))
    log.bad_files.add(meter.left_out_of_probes())


def _stop(
    training: Training,
    meter: StepMeter,
    log: RunLog,
    checkpoints: Checkpoints,
    *,
    number: int,
    step: int,
) -> None:
    """Saves what `step` steps have learnt, unless that is saved, and raises."""
    if meter.reports:
        _write_log(meter, log, step)
    if step > max(training.steps.shard.start_step, checkpoints.last):
        checkpoints.begin(step)
    checkpoints.finish()
    when = f"after step {step}, which is saved" if step else "before a step was done"
    raise stopped(number, when)


def _batches(training: Training) -> Generator[StepBatch | OmnimaskError, None, None]:
    """From the loader, whose workers end when this is closed: they outlive signals, and an error's
    traceback that somebody keeps would keep them too.
    """
    yield from load_steps(
        training.steps,
        num_workers=training.recipe.run.num_workers,
        pin_memory=training.accelerator.device.type == "cuda",
        budget_mb=training.recipe.run.loader_memory_mb,
    )


def _stop_if_dead(in_a_row: int, limit: int) -> None:
    if in_a_row >= limit:
        raise OmnimaskError(
            f"{in_a_row} steps in a row had a non-finite loss or gradient and were skipped; their "
            "samples are in skipped_steps.jsonl. Lower optim.lr, lengthen optim.warmup_steps, or "
            "look at those samples; run.max_nonfinite_steps sets the limit"
        )
