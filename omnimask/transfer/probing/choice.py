"""Which samples of a stream are probed, and why a stream cannot be."""

import math
from collections import Counter
from collections.abc import Sequence

import torch

from omnimask.data.samples import choose_samples, spread
from omnimask.data.streams import StreamReader
from omnimask.foundation.rng import permutation
from omnimask.tokens.modality import Label
from omnimask.transfer.probing.linear import FOLDS
from omnimask.transfer.probing.settings import Probes


def choose_train(reader: StreamReader, settings: Probes, device: torch.device) -> list[int]:
    """Labelled training samples; every class gives its share, a larger share holds a smaller."""
    indices = _labelled(reader, _limited(reader, settings.max_train, training=True, device=device))
    if settings.label_share == 1.0:
        return indices
    strata: dict[str, list[int]] = {}
    for index in indices:
        label = reader.label(index)
        strata.setdefault(label if isinstance(label, str) else "", []).append(index)
    chosen = []
    for stratum, members in sorted(strata.items()):
        order = permutation(len(members), settings.seed, reader.stream.name, "labels", stratum)
        # Rounded, since 0.1 * 30 is a little more than 3.
        count = math.ceil(round(settings.label_share * len(members), 6))
        chosen.extend(members[i] for i in order[:count])
    return sorted(chosen)


def choose_test(reader: StreamReader, settings: Probes, device: torch.device) -> list[int]:
    return _labelled(reader, _limited(reader, settings.max_test, training=False, device=device))


def _limited(
    reader: StreamReader, limit: int | None, *, training: bool, device: torch.device
) -> list[int]:
    if limit is None:
        return choose_samples(reader, training=training, device=device)
    return spread(len(reader), limit)


def _labelled(reader: StreamReader, indices: Sequence[int]) -> list[int]:
    return [index for index in indices if reader.label(index) is not None]


def why_not(train: Sequence[Label], test: Sequence[Label]) -> str | None:
    """Why these labels cannot be probed; None if they can."""
    if not train or not test:
        return (
            f"{len(train)} training and {len(test)} held-out samples have a label; put files into "
            "one folder per class, or name a label column where the files have one"
        )
    kinds = [{isinstance(label, str) for label in side} for side in (train, test)]
    if not kinds[0] & kinds[1]:
        return "one side has class names as labels, the other numbers; give both the same"
    classes = {label for label in train if isinstance(label, str)}
    if True in kinds[0] & kinds[1] and len(classes) < 2:
        return f"its training samples are all of the class {next(iter(classes))!r}; two are needed"
    numbers = sum(not isinstance(label, str) for label in train)
    if False in kinds[0] & kinds[1] and numbers < FOLDS:
        return f"{numbers} training samples have a number as label; {FOLDS} are needed"
    return None


def class_notes(train: Sequence[Label], test: Sequence[Label]) -> list[str]:
    """What a reader of the scores should know of very small classes."""
    counts = Counter(label for label in train if isinstance(label, str))
    lonely = sorted(name for name, count in counts.items() if count == 1)
    unseen = sorted({name for name in test if isinstance(name, str)} - counts.keys())
    notes = []
    if lonely:
        notes.append(
            f"classes with one training sample: {', '.join(lonely)}; they are fitted, but left out "
            "of the choice of the linear probe's regularisation"
        )
    if unseen and counts:
        notes.append(
            f"classes without a training sample: {', '.join(unseen)}; their held-out samples count "
            "as mistakes"
        )
    return notes


def too_small_for(k: int, train: Sequence[Label]) -> str | None:
    """Why no episode with `k` training samples per class can be drawn; None if one can."""
    counts = Counter(label for label in train if isinstance(label, str))
    small = {name: count for name, count in sorted(counts.items()) if count < k}
    if not small:
        return None
    listed = ", ".join(f"{name!r} has {count}" for name, count in list(small.items())[:5])
    return (
        f"few-shot {k}: of the training samples {listed}; ask for at most "
        f"{min(small.values())} per class, or give these classes more samples"
    )
