"""A folder's files as sets of samples: of which modality, which are held out, which are broken."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from omnimask.data.folders import suffix_of
from omnimask.data.reading import named_errors
from omnimask.data.samples import spread
from omnimask.foundation.errors import DataError
from omnimask.inspection.inspector import Inspector, Look

TRAIN = frozenset({"train", "training"})
HELD_OUT = frozenset(
    {"held_out", "heldout", "val", "valid", "validation", "dev", "test", "testing"}
)
_ASKED = 3  # files of a folder that decide which of several modalities its files are of
_Files = Sequence[PurePosixPath]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSet:
    """All files of a modality below `path`, which is below the root ("." is all of it).

    `names`: below `path`, and `held_out` below `held_out_path`. `looks`: at those files of both
    that were looked at and are sound; `broken`: the error of each that is not, by its path below
    the root. `left_out`: why it takes no part in a recipe, "" where it does.
    """

    modality: str
    path: str
    names: tuple[str, ...]
    held_out_path: str | None
    held_out: tuple[str, ...]
    looks: tuple[Look, ...]
    broken: Mapping[str, str]
    left_out: str = ""

    @property
    def labels(self) -> dict[str, int]:
        """Training files by the folder that they lie in; {} where that says nothing."""
        parents = Counter(PurePosixPath(name).parent.name for name in self.names)
        return dict(sorted(parents.items())) if len(parents) > 1 else {}

    @property
    def variant(self) -> str:
        """That of most files."""
        every = Counter(look.variant for look in self.looks)
        return every.most_common(1)[0][0] if every else ""

    @property
    def also(self) -> tuple[str, ...]:
        """The modalities that most of its files hold besides."""
        every = Counter(name for look in self.looks for name in look.also)
        return tuple(name for name, count in every.items() if count > len(self.looks) / 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a folder holds. `others`: files that no modality reads, counted by suffix."""

    root: str
    sets: tuple[FileSet, ...]
    others: Mapping[str, int]


def look_into(root: Path, inspectors: Mapping[str, Inspector], *, most: int = 1000) -> Found:
    """Lists all files below `root` and looks at `most` of each modality, evenly spread.

    DataError where there is no such folder or nothing in it that a modality reads.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; name the one that your files lie in")
    by_kind, others = _sorted_out(root, inspectors)
    if not by_kind:
        known = "; ".join(f"{i.name}: {' '.join(sorted(i.suffixes))}" for i in inspectors.values())
        raise DataError(f"{root}: holds no file that is read here; what is read: {known}")
    every = {path for files in by_kind.values() for path in files}
    sets = []
    for kind, files in by_kind.items():
        inspector = inspectors[kind]
        seen = {files[i]: _look(root / files[i], inspector) for i in spread(len(files), most)}
        able = inspector.suffixes
        foreign = {path for path in every - set(files) if suffix_of(path, able) in able}
        sets += [_file_set(kind, *part, seen) for part in _parts(files, seen, foreign)]
    return Found(root=root.as_posix(), sets=tuple(_of_one_variant(sets)), others=others)


def _sorted_out(
    root: Path, inspectors: Mapping[str, Inspector]
) -> tuple[dict[str, list[PurePosixPath]], dict[str, int]]:
    """Paths below `root` by modality, in order; and how many others there are by suffix."""
    by_kind: dict[str, list[PurePosixPath]] = defaultdict(list)
    others: Counter[str] = Counter()
    groups: dict[tuple[PurePosixPath, str], list[PurePosixPath]] = defaultdict(list)
    known = {suffix for inspector in inspectors.values() for suffix in inspector.suffixes}
    for path in _walk(root):
        groups[path.parent, suffix_of(path, known)].append(path)
    for (_, suffix), files in groups.items():
        able = [i for i in inspectors.values() if suffix in i.suffixes]
        if able:
            by_kind[_surest(root, able, files).name] += files
        else:
            others[suffix or "without a suffix"] += len(files)
    return {kind: sorted(by_kind[kind]) for kind in inspectors if kind in by_kind}, dict(others)


def _walk(root: Path) -> Iterator[PurePosixPath]:
    for place, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield PurePosixPath(Path(place, name).relative_to(root).as_posix())


def _surest(root: Path, able: Sequence[Inspector], files: _Files) -> Inspector:
    """The modality that the first files of a folder fit best."""
    if len(able) == 1:
        return able[0]
    fits = {inspector.name: 0.0 for inspector in able}
    for path in files[:_ASKED]:
        for inspector in able:
            look = _look(root / path, inspector)
            fits[inspector.name] += look.fit if isinstance(look, Look) else 0.0
    return max(able, key=lambda inspector: fits[inspector.name])


def _look(path: Path, inspector: Inspector) -> Look | str:
    """What it found, or why the file cannot be read."""
    try:
        with named_errors(str(path)):
            return inspector.look(path)
    except DataError as error:
        return str(error)


def first_look(root: Path, part: FileSet, inspector: Inspector) -> Look:
    """At the first of its files that another inspector's modality is in too (a clip's sound)."""
    for name in part.names:
        look = _look(root / part.path / name, inspector)
        if isinstance(look, Look):
            return look
    raise DataError(f"{root / part.path}: {inspector.name} can be read from none of its files")


def split_of(path: PurePosixPath) -> tuple[str, str]:
    """The split, "train", "held_out" or "", and the path down to the folder that names it."""
    for number, part in enumerate(path.parts[:-1], start=1):
        name = part.lower()
        if name in TRAIN or name in HELD_OUT:
            return "train" if name in TRAIN else "held_out", "/".join(path.parts[:number])
    return "", ""


_Part = tuple[PurePosixPath, _Files, PurePosixPath | None, _Files]


def _parts(
    files: _Files, seen: Mapping[PurePosixPath, Look | str], foreign: set[PurePosixPath]
) -> Iterator[_Part]:
    """Training folders with their files, each with the held-out folder beside it and its files."""
    training: dict[str, list[PurePosixPath]] = defaultdict(list)
    aside: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in files:
        split, base = split_of(path)
        (aside if split == "held_out" else training)[base].append(path)
    if not training:  # a folder called "test" alone is no held-out part of anything
        training, aside = aside, {}
    for base, members in training.items():
        others = foreign | {path for path in files if split_of(path)[1] != base}
        beside = [b for b in aside if base and _parent(b) == _parent(base)]
        for folder, inside in _covers(members, seen, others):
            yield (folder, inside, *_held_out(folder, base, beside, aside))


def _parent(base: str) -> PurePosixPath:
    return PurePosixPath(base).parent


def _held_out(
    folder: PurePosixPath, base: str, beside: Sequence[str], aside: Mapping[str, _Files]
) -> tuple[PurePosixPath | None, _Files]:
    """The folder of a held-out split that is to it what `folder` is to the training split."""
    for split in beside:
        place = PurePosixPath(split) / folder.relative_to(base)
        inside = [path for path in aside[split] if path.is_relative_to(place)]
        if inside:
            return place, inside
    return None, []


def _covers(
    files: _Files, seen: Mapping[PurePosixPath, Look | str], others: set[PurePosixPath]
) -> Iterator[tuple[PurePosixPath, _Files]]:
    """The fewest folders that hold `files` and none of `others`, each with files of one variant."""
    folder = PurePosixPath(os.path.commonpath([path.parent for path in files]) or ".")
    looks = [seen[path] for path in files if path in seen]
    variants = {look.variant for look in looks if isinstance(look, Look)}
    clean = len(variants) < 2 and not any(path.is_relative_to(folder) for path in others)
    below: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in files:
        below[path.relative_to(folder).parts[0]].append(path)
    if clean or any(path.parent == folder for path in files):
        yield folder, files
        return
    for inside in below.values():
        yield from _covers(inside, seen, others)


def _file_set(
    kind: str,
    folder: PurePosixPath,
    files: _Files,
    held_out_folder: PurePosixPath | None,
    held_out: _Files,
    seen: Mapping[PurePosixPath, Look | str],
) -> FileSet:
    looks = {path: seen[path] for path in (*files, *held_out) if path in seen}
    return FileSet(
        modality=kind,
        path=str(folder),
        names=tuple(str(path.relative_to(folder)) for path in files),
        held_out_path=None if held_out_folder is None else str(held_out_folder),
        held_out=tuple(
            str(path.relative_to(held_out_folder)) for path in held_out if held_out_folder
        ),
        looks=tuple(look for look in looks.values() if isinstance(look, Look)),
        broken={str(path): look for path, look in looks.items() if isinstance(look, str)},
    )


def _of_one_variant(sets: Sequence[FileSet]) -> Iterator[FileSet]:
    """Of a modality the variant with the most files stays; sets of others say why they do not."""
    count: dict[str, Counter[str]] = defaultdict(Counter)
    for part in sets:
        count[part.modality][part.variant] += len(part.names)
    for part in sets:
        kept = count[part.modality].most_common(1)[0][0]
        if not part.looks:
            yield replace(part, left_out="none of its files can be read")
        elif part.variant != kept:
            why = f"{part.variant}, while most {part.modality} files have {kept}"
            yield replace(part, left_out=why)
        else:
            yield part
