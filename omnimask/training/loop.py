"""The training loop: one step after another, checkpoints, stopping and going on."""

import sys
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn

from omnimask.data.loading import load_steps
from omnimask.data.streams import Shard, StepBatch, Steps, check_alike
from omnimask.foundation.determinism import same_sums_on_cpu
from omnimask.foundation.errors import OmnimaskError
from omnimask.foundation.memory import keep_freed_memory
from omnimask.foundation.reloading import check_reloadable
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.training.checkpoint import (
    Checkpoint,
    last_checkpoint,
    set_aside,
    sound_checkpoint,
)
from omnimask.training.checkpoint import save_checkpoint as write_checkpoint
from omnimask.training.job import Job
from omnimask.training.metrics import Probing, StepMeter
from omnimask.training.optimisation import (
    Training,
    load_optimizer_tensors,
    optimizer_tensors,
    step_once,
)
from omnimask.training.run_folder import Drawing, RunLog, claim_run_folder, set_repeated_aside
from omnimask.training.stop_signal import StopSignal


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
    recipe = job.recipe
    check_reloadable(recipe)
    accelerator = _accelerator(recipe, out)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    claim_run_folder(out, recipe, write=False)
    resumed = _resumed(out, accelerator)
    training = _set_up(job, accelerator, resumed)
    check_alike(training.steps.readers)
    meter = StepMeter(job, accelerator, probing)
    start = training.steps.shard.start_step
    # Only now, so that a recipe whose data or teacher is refused leaves no folder behind.
    if accelerator.is_main_process:
        claim_run_folder(out, recipe, write=True)
        set_repeated_aside(out, start)
    accelerator.wait_for_everyone()
    if resumed is None or not resumed.state.get("ended", False):  # a job may end before its time
        with (
            RunLog(out, training.recipe, accelerator=accelerator, start_step=start) as log,
            same_sums_on_cpu(accelerator.device),
        ):
            _loop(training, meter, out, log, drawing)
    accelerator.end_training()
    return last_checkpoint(out)


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


def _accelerator(recipe: RunRecipe, out: Path) -> Accelerator:
    precision = recipe.run.precision
    if precision == "auto":
        precision = "bf16" if torch.cuda.is_available() else "fp32"
    tracker = recipe.run.tracker
    return Accelerator(
        # Said outright, or several processes on CPUs would not find one another.
        cpu=not torch.accelerator.is_available(),
        mixed_precision="bf16" if precision == "bf16" else "no",
        log_with=None if tracker == "none" else tracker,
        project_dir=str(out),
    )


def _set_up(job: Job, accelerator: Accelerator, resumed: Checkpoint[Any] | None) -> Training:
    set_seed(job.recipe.seed)
    model = job.prepare(resumed)
    assert isinstance(model, nn.Module), "what learns has weights"
    check_reloadable(job.recipe)  # with its statistics, as checkpoints have it
    wrapped = accelerator.prepare_model(model)
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
    )


def _loop(
    training: Training, meter: StepMeter, out: Path, log: RunLog, drawing: Drawing | None
) -> None:
    recipe, run = training.recipe, training.recipe.run
    training.wrapped.train()
    with StopSignal() as stop, closing(_batches(training)) as batches:
        for step in range(training.steps.shard.start_step, recipe.optim.steps):
            started = time.perf_counter()
            made = next(batches)
            meter.waited(time.perf_counter() - started)
            batch = log.bad_files.agree(made)
            last = step + 1 == recipe.optim.steps
            logs = last or (step + 1) % run.log_every == 0 or meter.probes_due(step + 1)
            meter.add(step_once(training, batch, watch=logs), batch)
            stopping = not last and _agreed(training, stop.asked, now=logs)
            if logs or stopping:
                summary = meter.summary(step + 1)
                log.step(summary)
                log.bad_files.add(meter.left_out_of_probes())
                _stop_if_dead(summary, run.max_nonfinite_steps)
            draws = run.pictures_every and (last or (step + 1) % run.pictures_every == 0)
            if drawing is not None and draws and log.is_main:
                log.pictures(drawing(training.model), step + 1)
            ended = training.job.check(step + 1, out, write=training.accelerator.is_main_process)
            if last or ended or stopping or (step + 1) % run.checkpoint_every == 0:
                save_checkpoint(training, out, step + 1)
            if ended:
                return
            if stopping:
                raise OmnimaskError(
                    f"stopped by a signal after step {step + 1}, which is saved; the same command "
                    "goes on from there"
                )


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


def save_checkpoint(training: Training, out: Path, step: int) -> None:
    """The main process writes; the others wait until the checkpoint is whole."""
    if training.accelerator.is_main_process:
        write_checkpoint(
            out,
            Checkpoint(
                recipe=training.recipe,
                weights=training.model.state_dict(),
                optimizer=optimizer_tensors(training.model, training.optimizer),
                state={
                    "step": step,
                    "samples_seen": training.steps.samples_seen(step),
                    **training.job.state(),
                },
            ),
            keep=training.recipe.run.keep_checkpoints,
        )
    training.accelerator.wait_for_everyone()


def _agreed(training: Training, asked: bool, *, now: bool) -> bool:
    """Whether all processes stop here; several processes agree only where they log anyway."""
    if training.accelerator.num_processes == 1:
        return asked
    if not now:
        return False
    flag = torch.tensor(float(asked), device=training.accelerator.device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def _stop_if_dead(summary: Mapping[str, object], limit: int) -> None:
    in_a_row = summary["skipped_in_a_row"]
    assert isinstance(in_a_row, int), "StepMeter counts in integers"
    if in_a_row >= limit:
        raise OmnimaskError(
            f"{in_a_row} steps in a row had a non-finite loss or gradient and were skipped; their "
            "samples are in skipped_steps.jsonl. Lower optim.lr, lengthen optim.warmup_steps, or "
            "look at those samples; run.max_nonfinite_steps sets the limit"
        )
