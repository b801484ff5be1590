"""Which scene is seen by which senses, in which split, and where its files lie.

All of it follows from the scene's number alone, so that a folder can be made longer later. Scenes
come in rounds of eight: two that all six senses see (a quarter), then one for each sense alone. A
sense thus has three scenes of a round: of its N files two thirds belong to paired scenes, and N
scenes per sense take 8 N / 3 scenes in all. Every fifth round is held out.
"""

from dataclasses import dataclass

SENSES = ("image", "video", "audio", "points", "voxels", "table")
FOLDERS = {
    "image": "images",
    "video": "video",
    "audio": "audio",
    "points": "points",
    "voxels": "voxels",
    "table": "tables",
}
"""Of the senses, as recipes/sample_modalities.py has them."""

SUFFIXES = {"image": ".jpg", "video": ".mp4", "audio": ".flac", "points": ".ply", "voxels": ".bin"}
_PAIRED_PER_ROUND = 2
_ROUND = _PAIRED_PER_ROUND + len(SENSES)
_PER_SENSE = _PAIRED_PER_ROUND + 1
_SPLIT_ROUNDS, _HELD_OUT_ROUND = 5, 1


def senses_of(number: int) -> tuple[str, ...]:
    """All, or the one, that see a scene."""
    place = number % _ROUND
    return SENSES if place < _PAIRED_PER_ROUND else (SENSES[place - _PAIRED_PER_ROUND],)


def split_of(number: int) -> str:
    held_out = number // _ROUND % _SPLIT_ROUNDS == _HELD_OUT_ROUND
    return "held_out" if held_out else "train"


def scene_of(sense: str, index: int) -> int:
    """The number of the scene that is a sense's file `index`, counted from 0."""
    round_, place = divmod(index, _PER_SENSE)
    if place == _PAIRED_PER_ROUND:
        place += SENSES.index(sense)
    return round_ * _ROUND + place


def scenes_for(num_per_sense: int, senses: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """The scenes that give each of these senses so many files, in order, and who sees them."""
    seen: dict[int, tuple[str, ...]] = {}
    for sense in senses:
        for index in range(num_per_sense):
            number = scene_of(sense, index)
            seen[number] = (*seen.get(number, ()), sense)
    return dict(sorted(seen.items()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a scene's files lie: the same name below the folder of every sense and split."""

    split: str
    name: str

    def path(self, folder: str, suffix: str) -> str:
        """Relative to the world's folder."""
        return f"{folder}/{self.split}/{self.name}{suffix}"

    def of(self, sense: str) -> str:
        return self.path(FOLDERS[sense], SUFFIXES[sense])


def place_of(number: int, family: str) -> Place:
    return Place(split=split_of(number), name=f"{family}/scene-{number:07d}")
