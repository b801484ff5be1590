"""A recipe for a folder that was looked at: streams, sizes, masks, and the reasons for each."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch

from omnimask.decoders import SelfAttentionDecoder
from omnimask.foundation.errors import DataError
from omnimask.inspection.folder import TRAIN, FileSet, Found, first_look
from omnimask.inspection.inspector import Budget, Inspector, Proposal
from omnimask.masking import PerModality
from omnimask.network.encoder import Encoder, vit
from omnimask.objectives.objective import Objective
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.tokens.modality import Files

_LARGE_GPU_BYTES = 20 * 2**30
_TOKENS_PER_BYTE = 1 / 600_000  # of a step, with ViT-B in bf16 and three quarters hidden
_PAIRED = 0.5  # of the names of two sets, from which on they are one stream
_MOST_PASSES = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """`reasons`: lines for people, on the streams and on each modality."""

    recipe: Recipe
    reasons: tuple[str, ...]


def budget_of(device: torch.device) -> Budget:
    """What a run of minutes on two CPU cores affords, or one of hours on a GPU of its memory."""
    workers = min(max((os.cpu_count() or 2) - 1, 1), 12)
    if device.type != "cuda":
        return Budget(
            device="CPU",
            large=False,
            step_tokens=4_000,
            encoder=Encoder(width=192, depth=5, num_heads=6),
            decoder=SelfAttentionDecoder(width=128, depth=2, num_heads=4),
            optim=Optim(steps=400, lr=1e-3, warmup_steps=40),
            num_workers=1,
        )
    properties = torch.cuda.get_device_properties(device)
    large = properties.total_memory >= _LARGE_GPU_BYTES
    return Budget(
        device=properties.name,
        large=True,
        step_tokens=int(properties.total_memory * _TOKENS_PER_BYTE),
        encoder=vit("base" if large else "small"),
        decoder=SelfAttentionDecoder(width=512 if large else 256, depth=4, num_heads=8),
        optim=Optim(steps=100_000, lr=1.5e-4, warmup_steps=5_000),
        num_workers=workers,
    )


def choose(found: Found, inspectors: Mapping[str, Inspector], budget: Budget) -> Choice:
    """DataError where none of the files can be trained on."""
    sets = [part for part in found.sets if not part.left_out]
    if not sets:
        raise DataError(f"{found.root}: none of its files can be read; see the errors above")
    groups = list(_paired(sets))
    names = list(dict.fromkeys(name for group in groups for name in _modalities_of(group)))
    looks = {name: [look for s in sets if s.modality == name for look in s.looks] for name in names}
    tracks = [name for name in names if not looks[name]]  # the sound of clips, never alone
    for name in tracks:
        holders = [part for part in sets if name in part.also]
        looks[name] = [first_look(Path(found.root), part, inspectors[name]) for part in holders]
    proposals = {name: inspectors[name].propose(looks[name], budget) for name in names}
    streams = tuple(
        _stream(group, groups, proposals, inspectors, looks, budget) for group in groups
    )
    passes = _MOST_PASSES * max(
        -(-len(group[0].names) // stream.batch_size)
        for group, stream in zip(groups, streams, strict=True)
    )
    steps = min(budget.optim.steps, max(passes, 200))
    warmup = min(budget.optim.warmup_steps, steps // 10)
    optim = replace(budget.optim, steps=steps, warmup_steps=warmup)
    broken = sum(len(part.broken) for part in sets)
    masks = {name: proposals[name].masker for name in names}
    recipe = Recipe(
        name=Path(found.root).resolve().name or "mine",
        modalities=tuple(proposals[name].modality for name in names),
        masker=PerModality(masks=masks) if len(masks) > 1 else masks[names[0]],
        encoder=budget.encoder,
        # One for each: what they share is the encoder (docs/learning.md).
        decoders=dict.fromkeys(names, budget.decoder),
        objectives=tuple(
            Objective(name=f"{name}_{what}", modality=name, target=target, loss=loss, decoder=name)
            for name in names
            for what, target, loss in proposals[name].content
        ),
        data=Data(root=found.root, streams=streams, max_bad_files=max(2 * broken, 10)),
        optim=optim,
        run=Run(num_workers=budget.num_workers, checkpoint_every=max(steps // 4, 1)),
    )
    return Choice(recipe=recipe, reasons=tuple(_reasons(recipe, proposals, budget)))


def _paired(sets: Sequence[FileSet]) -> Iterator[tuple[FileSet, ...]]:
    """Sets of different modalities whose files are called alike belong to one stream."""
    left = list(sets)
    while left:
        group = [left.pop(0)]
        for part in list(left):
            if part.modality not in {s.modality for s in group} and _shared(group[0], part):
                group.append(part)
                left.remove(part)
        yield tuple(group)


def _shared(one: FileSet, other: FileSet) -> bool:
    first, second = (
        {str(PurePosixPath(name).with_suffix("")) for name in part.names} for part in (one, other)
    )
    return len(first & second) >= max(_PAIRED * max(len(first), len(second)), 2)


def _modalities_of(group: Sequence[FileSet]) -> tuple[str, ...]:
    every = [name for part in group for name in (part.modality, *part.also)]
    return tuple(dict.fromkeys(every))


def _stream(
    group: tuple[FileSet, ...],
    groups: Sequence[tuple[FileSet, ...]],
    proposals: Mapping[str, Proposal],
    inspectors: Mapping[str, Inspector],
    looks: Mapping[str, Sequence],
    budget: Budget,
) -> Stream:
    names = _modalities_of(group)
    alone = sum(_modalities_of(other) == names for other in groups) == 1
    tokens = sum(proposals[name].modality.num_tokens for name in names)
    affordable = budget.step_tokens // len(groups) // max(tokens, 1)  # a table's come with it
    held_out = all(part.held_out_path is not None for part in group)

    def files(name: str, *, training: bool) -> Files:
        part = next((s for s in group if s.modality == name), None)
        part = part or next(s for s in group if name in s.also)
        path = part.path if training else str(part.held_out_path)
        return inspectors[name].files(path, looks[name], proposals[name].modality)

    return Stream(
        name="+".join(names) if alone else _place(group[0].path),
        files={name: files(name, training=True) for name in names},
        held_out={name: files(name, training=False) for name in names} if held_out else None,
        batch_size=min(max(affordable, 1), 64 if not budget.large else 512),
    )


def _place(path: str) -> str:
    """A folder as the name of a stream, without the split."""
    return "-".join(p for p in PurePosixPath(path).parts if p.lower() not in TRAIN) or path


def _reasons(recipe: Recipe, proposals: Mapping[str, Proposal], budget: Budget) -> Iterator[str]:
    for proposal in proposals.values():
        yield from proposal.reasons
    for stream in recipe.data.streams:
        if len(stream.files) > 1:
            yield f"{stream.name}: one sample has {' and '.join(stream.files)}, in one sequence"
        if stream.held_out is None:
            yield f"{stream.name}: nothing is held out; reports and probes look at training files"
    yield (
        f"{budget.device}: about {budget.step_tokens} tokens a step, an encoder of width "
        f"{recipe.encoder.width} and depth {recipe.encoder.depth}, {recipe.optim.steps} steps"
    )
