"""Which machine a result was made on."""

import platform
from pathlib import Path

import torch


def processor_name() -> str:
    """The CPU's model as the system calls it, or its architecture where that is not known."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def gpu_names() -> list[str]:
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def hardware() -> dict[str, str]:
    """CPU model, threads that torch uses, GPUs and system, as text."""
    return {
        "cpu": processor_name(),
        "threads": str(torch.get_num_threads()),
        "gpu": ", ".join(gpu_names()) or "none",
        "system": f"{platform.system()} {platform.release()}",
    }
