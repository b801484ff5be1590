"""The list of mutations fits the tree, and the tool tells what is noticed from what is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from tools import mutate
from tools.mutate import MutationError, check
from tools.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]


def test_every_mutation_is_found_once_and_has_its_tests():
    found = check(MUTATIONS, ROOT)
    assert len(found) == len(MUTATIONS)
    for mutation in MUTATIONS:
        path, tests = found[mutation.name]
        changed = (ROOT / path).read_text().replace(mutation.old, mutation.new)
        compile(changed, mutation.name, "exec")
        assert mutation.old != mutation.new, mutation.name
        assert tests, mutation.name


DOUBLE = Mutation(
    name="doubles-no-more",
    old="return 2 * x",
    new="return 3 * x",
    breaks="doubling",
    tests=("test_double.py::test_two",),
)
UNSEEN = replace(DOUBLE, name="unseen", old="return 5", new="return 6")
NO_PYTHON = replace(DOUBLE, name="no-python", new="return (")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two functions, of which one is tested."""
    for name in ("omnimask", "modalities", "recipes", "tests/unit", "tools", "docs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    code = "def double(x):\n    return 2 * x\n\n\ndef five():\n    return 5\n"
    (tmp_path / "omnimask" / "double.py").write_text(code)
    test = "from omnimask.double import double\n\n\ndef test_two():\n    assert double(1) == 2\n"
    (tmp_path / "tests" / "unit" / "test_double.py").write_text(test)
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    return tmp_path


def test_what_is_noticed_what_is_not_and_what_was_known(tree: Path, tmp_path: Path):
    mutations, out = [DOUBLE, UNSEEN, NO_PYTHON], tmp_path / "runs" / "found.json"
    results = {result.name: result for result in mutate.run(mutations, out)}
    assert {name: result.outcome for name, result in results.items()} == {
        "doubles-no-more": "killed",
        "unseen": "survived",
        "no-python": "broken",
    }
    assert results["doubles-no-more"].killer == "tests/unit/test_double.py::test_two"
    assert "return 2 * x" in (tree / "omnimask" / "double.py").read_text(), "only a copy changes"
    before = out.stat().st_mtime_ns
    mutate.run(mutations, out)
    assert out.stat().st_mtime_ns == before, "everything was known"


def test_tests_that_fail_anyway_are_an_error(tree: Path, tmp_path: Path):
    code = (tree / "omnimask" / "double.py").read_text()
    (tree / "omnimask" / "double.py").write_text(
        code.replace("def double(x):", "def double(x, y):")
    )
    with pytest.raises(MutationError, match="fail without any mutation"):
        mutate.run([DOUBLE], tmp_path / "found.json")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"old": "return 7"}, "doubles-no-more: expected its text once .* found it in no file"),
        ({"old": "return "}, r"found it in omnimask/double.py \(2 times\)"),
        ({"tests": ("test_gone.py",)}, "expected the test test_gone.py once"),
        ({"tests": ("test_double.py::test_gone",)}, "expected the test test_double.py::test_gone"),
    ],
)
def test_a_list_that_has_rotten_is_named(tree: Path, wrong: dict, message: str):
    with pytest.raises(MutationError, match=message):
        check([replace(DOUBLE, **wrong)], tree)
    with pytest.raises(MutationError, match="several mutations are called doubles-no-more"):
        check([DOUBLE, DOUBLE], tree)
