"""What was found in a folder, as lines for a terminal."""

from collections.abc import Iterator, Sequence

from omnimask.inspection.folder import FileSet, Found
from omnimask.inspection.inspector import Look

_MOST_NAMED = 20


def found_text(found: Found) -> str:
    """A few lines for each set of files, the broken ones by name."""
    lines = [line for part in found.sets for line in _lines(part)]
    return "\n".join([f"{found.root}:", *lines, *_others(found)])


def _lines(part: FileSet) -> Iterator[str]:
    kinds = f" ({part.variant})" if part.variant else ""
    yield f"  {part.path}: {len(part.names)} {part.modality} files{kinds}"
    if part.left_out:
        yield f"    left out: {part.left_out}"
    if part.held_out_path is not None:
        yield f"    held out: {len(part.held_out)} files in {part.held_out_path}"
    if labels := part.labels:
        yield f"    labels: {labels_text(labels)}"
    for what, low, middle, high in ranges(part.looks):
        yield f"    {what}: {number(middle)} ({number(low)} to {number(high)})"
    for what, said in words(part.looks):
        yield f"    {what}: {said}"
    if part.also:
        yield f"    each with: {', '.join(part.also)}"
    every = len(part.names) + len(part.held_out)
    looked = len(part.looks) + len(part.broken)
    if looked < every:
        yield f"    looked at {looked} of {every} files"
    if part.broken:
        yield f"    broken: {len(part.broken)}"
        yield from (f"      {error}" for error in list(part.broken.values())[:_MOST_NAMED])
        if len(part.broken) > _MOST_NAMED:
            yield f"      and {len(part.broken) - _MOST_NAMED} more"


def _others(found: Found) -> list[str]:
    if not found.others:
        return []
    every = ", ".join(f"{count} {suffix}" for suffix, count in sorted(found.others.items()))
    return [f"  files of no known kind: {every}"]


def labels_text(labels: dict[str, int]) -> str:
    """How many classes there are, and the first of them with their numbers of files."""
    first = ", ".join(f"{name} {count}" for name, count in list(labels.items())[:8])
    return f"{len(labels)} folders: {first}{', …' if len(labels) > 8 else ''}"


def ranges(looks: Sequence[Look]) -> Iterator[tuple[str, int | float, int | float, int | float]]:
    """Of each fact its name, lowest, middle and highest value."""
    for what in dict.fromkeys(name for look in looks for name in look.facts):
        values = sorted(look.facts[what] for look in looks if what in look.facts)
        yield what, values[0], values[len(values) // 2], values[-1]


def words(looks: Sequence[Look]) -> Iterator[tuple[str, str]]:
    for what in dict.fromkeys(name for look in looks for name in look.words):
        said = sorted({look.words[what] for look in looks if what in look.words})
        yield what, ", ".join(said)


def number(value: int | float) -> str:
    """At most four digits behind which nothing is worth reading."""
    return f"{value:.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"
