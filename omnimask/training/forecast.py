"""What a run will need on many devices that are not here, from one micro-batch that is read and
encoded here: memory, time, and which of them binds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from omnimask.recipe.batch_share import BatchShare
from omnimask.recipe.run_recipe import RunRecipe
from omnimask.training.cost import StepCost

# Of the peak: what well-made training of transformers reaches (https://arxiv.org/abs/2204.02311,
# section 4.1, reports 46 %). Nothing of ours has been measured on these devices.
ASSUMED_SHARE = 0.4
_AUTOCAST = 0.5  # bytes of activations in bf16 over those counted in fp32
_DAY_S = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A data sheet: memory in GB, dense bf16 TFLOP/s, and GB/s to other machines per device."""

    memory_gb: float
    tflops: float
    network_gb_s: float


DEVICES = {  # network: one 400 Gb/s (A100: 200 Gb/s) adapter for each device
    "a100": Device(memory_gb=80.0, tflops=312.0, network_gb_s=25.0),
    "h100": Device(memory_gb=80.0, tflops=989.0, network_gb_s=50.0),
    "h200": Device(memory_gb=141.0, tflops=989.0, network_gb_s=50.0),
    "b200": Device(memory_gb=180.0, tflops=2250.0, network_gb_s=50.0),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Of one device and step: bytes and seconds. Exchange and reading go on beside computing."""

    micro_batches: int
    tokens: int
    memory_gb: float
    compute_s: float
    exchange_s: float
    reading_s: float

    @property
    def step_s(self) -> float:
        return max(self.compute_s, self.exchange_s, self.reading_s)

    @property
    def binds(self) -> str:
        """What a step waits for."""
        times = {
            "computing": self.compute_s,
            "the exchange of gradients": self.exchange_s,
            "reading samples": self.reading_s,
        }
        return max(times, key=lambda name: times[name])


def forecast(
    recipe: RunRecipe,
    cost: StepCost,
    *,
    world: int,
    device: Device,
    sharded: bool,
    read_s: float,
    share: float = ASSUMED_SHARE,
) -> Forecast:
    """`cost` is that of a device's first micro-batch, `read_s` what reading it took one core."""
    num_micro = BatchShare(accumulate=recipe.optim.accumulate, world=world).num_micro
    state = cost.state_bytes / (world if sharded else 1)
    # A ring sends every gradient twice, in fp32; with FSDP weights are gathered twice beside.
    sent = 4 * cost.trained_parameters * (2 if not sharded else 1 + 2 * num_micro)
    return Forecast(
        micro_batches=num_micro,
        tokens=num_micro * sum(part.valid for part in cost.tokens),
        memory_gb=(state + _AUTOCAST * cost.activation_bytes) / 1e9,
        compute_s=num_micro * cost.flops / (share * device.tflops * 1e12),
        exchange_s=sent / (device.network_gb_s * 1e9) if world > 1 else 0.0,
        reading_s=num_micro * read_s / max(recipe.run.num_workers, 1),
    )


def forecast_lines(
    recipe: RunRecipe, found: Forecast, *, world: int, name: str, samples: int, sharded: bool
) -> Sequence[str]:
    """For people."""
    device = DEVICES[name]
    days = found.step_s * recipe.optim.steps / _DAY_S
    fits = "fits" if found.memory_gb < 0.9 * device.memory_gb else "does NOT fit"
    way = "FSDP2" if sharded else "DDP"
    return (
        f"On {world} {name} ({way}), from data sheets, assuming {ASSUMED_SHARE:.0%} of "
        f"{device.tflops:.0f} TFLOP/s, {device.network_gb_s:.0f} GB/s between machines, and this "
        "machine's cores:",
        f"batch        {found.micro_batches} x {samples} samples on each device",
        f"memory       {found.memory_gb:.1f} GB of {device.memory_gb:.0f} on each device: {fits}",
        f"step         {found.step_s:.3g} s: computing {found.compute_s:.3g}, gradients "
        f"{found.exchange_s:.3g}, reading with {recipe.run.num_workers} workers "
        f"{found.reading_s:.3g}",
        f"tokens/s     {world * found.tokens / found.step_s:,.0f}",
        f"days         {days:.2g} for {recipe.optim.steps} steps",
        f"binds        {found.binds}" + (", after memory" if fits != "fits" else ""),
    )
