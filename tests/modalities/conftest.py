"""The folders of `modalities/`, and each one's case, opened and read once per test session."""

import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import modalities
from omnimask.tokens.modality import Modality, Sample, Source, Visit
from omnimask.tokens.tokens import Raw, Tokens
from tests.modalities.case import Case

FOLDERS = sorted(found.name for found in pkgutil.iter_modules(modalities.__path__) if found.ispkg)
# A folder's further records have cases of their own: case_<folder>_<more>.py.
CASES = FOLDERS + sorted(
    found.name.removeprefix("case_")
    for found in pkgutil.iter_modules([str(Path(__file__).parent)])
    if found.name.startswith("case_") and found.name.removeprefix("case_") not in FOLDERS
)
NUM_SAMPLES = 6

MISSING_CASE = """modalities/{folder}/ has no tests/modalities/case_{folder}.py.
Write one that defines

    def make_case(root: Path) -> Case: ...

It writes a few small real files below `root` and returns the modality at a small size, its Files
record and the bad files that must be refused; tests/modalities/case.py says what each field means.
"""


def has_case(folder: str) -> bool:
    return importlib.util.find_spec(f"tests.modalities.case_{folder}") is not None


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A case whose files were opened, with the first samples read at their centre view."""

    folder: str
    case: Case
    source: Source
    modality: Modality  # fitted
    samples: tuple[Sample, ...]
    raw: Raw
    tokens: Tokens


@pytest.fixture(scope="session", params=CASES)
def case_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def folder(case_name: str) -> str:
    return case_name.partition("_")[0]


@pytest.fixture(scope="session")
def case(case_name: str, tmp_path_factory: pytest.TempPathFactory) -> Case:
    if not has_case(case_name):
        pytest.skip(f"no case_{case_name}.py; test_the_folder_has_a_case fails for it")
    root = tmp_path_factory.mktemp(f"case_{case_name}")
    return importlib.import_module(f"tests.modalities.case_{case_name}").make_case(root)


@pytest.fixture(scope="session")
def opened(folder: str, case: Case) -> Opened:
    source = case.files.open(str(case.root), case.modality)
    modality = case.modality.fit(source)
    samples = tuple(source.read(i, Visit(key=i, augment=False)) for i in range(NUM_SAMPLES))
    raw = modality.collate(samples)
    return Opened(
        folder=folder,
        case=case,
        source=source,
        modality=modality,
        samples=samples,
        raw=raw,
        tokens=modality.split(raw),
    )
