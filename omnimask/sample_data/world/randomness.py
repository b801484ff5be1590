"""Every draw of the world is a pure function of (seed, scene, purpose)."""

import numpy as np

from omnimask.foundation.rng import fold_key, numpy_generator


def generator(seed: int, number: int | str, purpose: str) -> np.random.Generator:
    """For one purpose of one scene; what other purposes draw does not shift it."""
    return numpy_generator(fold_key(seed, "world", number), purpose)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(low * (high / low) ** rng.uniform())


def choice(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]
