"""What each modality supplies so that the shared contract can test it: one `Case` per folder.

`tests/modalities/case_<folder>.py` defines `make_case(root: Path) -> Case`; a folder in
`modalities/` without one fails the contract.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omnimask.objectives.objective import Objective
from omnimask.tokens.modality import Files, Modality


@dataclass(frozen=True, kw_only=True)
class Case:
    """One modality with real files on disk.

    `modality`: at a small size, already able to `fit`. `files.open(str(root))` lists at least six
    samples with two labels, among them one that gives fewer valid tokens than the others where the
    modality allows that. `round_trip_tolerance`: largest difference per raw entry after
    split -> join, by the entry's name; entries that are not listed are not compared.
    `bad_files`: writes a bad file below the given empty folder and returns its path, by what is
    wrong with it (empty, wrong kind, truncated, ...); reading it must raise DataError naming it.

    `objectives`: what it is trained on where `Content` with `mse` does not fit. `imputed_suffix`:
    of the file that `omnimask impute` writes, where a part of the sample is hidden; "" where the
    file's own gaps are filled instead, and where nothing is imputed. `without_hooks`: names of
    those hooks (`omnimask.transfer.modality_hooks`) that the record does not offer.
    """

    modality: Modality
    files: Files
    root: Path
    round_trip_tolerance: Mapping[str, float]
    bad_files: Mapping[str, Callable[[Path], Path]]
    objectives: tuple[Objective, ...] = ()
    imputed_suffix: str = ""
    without_hooks: tuple[str, ...] = ()
