"""Changes the core in one place at a time and says which changes no test notices.

python tools/mutate.py                  # every mutation of tools/mutations.py, by its own tests
python tools/mutate.py --only align     # those with "align" in their names
python tools/mutate.py --all            # survivors also against ever wider parts of the suite
python tools/mutate.py --list

Everything happens in copies of the tree, one for each of `--jobs` workers. Results go to a JSON
file as they come; the same command goes on from there as long as neither sources nor tests have
changed. Exits with 1 if a mutation survives. A mutation that the tree no longer holds, or a test
that is gone, is an error with its name.
"""

import argparse
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a script
    sys.path.insert(0, str(ROOT))

from tools.mutations import MUTATIONS, Mutation  # noqa: E402  # after the path is set

MUTATED = ("omnimask", "modalities")
WIDER = (
    ("tests/unit", "-m", "not slow"),
    ("tests/modalities", "-m", "not slow"),
    ("tests",),
)
_COPIED = ("docs", "modalities", "omnimask", "recipes", "tests", "tools")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_UNCHECKED = ("--jaxtyping-packages=",)
_LIMIT_S = 900
# What pytest's exit status says of a mutation.
_OUTCOMES = {0: "survived", 1: "killed"}


class MutationError(Exception):
    """The list and the tree do not fit together, or the tests fail without any mutation."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """`outcome`: killed, survived, timeout (which kills too) or broken (no test could run)."""

    name: str
    outcome: str
    killer: str = ""
    tests: tuple[str, ...] = ()
    output: str = field(default="", repr=False)


def sources(root: Path) -> Iterator[Path]:
    for package in MUTATED:
        yield from sorted((root / package).rglob("*.py"))


def find_file(mutation: Mutation, texts: dict[Path, str]) -> Path:
    """The one file that holds the mutation's text, once."""
    found = {path: text.count(mutation.old) for path, text in texts.items() if mutation.old in text}
    if list(found.values()) != [1]:
        places = ", ".join(f"{path} ({count} times)" for path, count in found.items()) or "no file"
        raise MutationError(
            f"{mutation.name}: expected its text once in {' and '.join(MUTATED)}, found it in "
            f"{places}; bring it up to date in tools/mutations.py:\n{mutation.old}"
        )
    return next(iter(found))


def find_tests(mutation: Mutation, files: Sequence[Path]) -> list[str]:
    """The mutation's tests as pytest takes them: they are named by file, and by as many of its
    folders as tell it from others.
    """
    found = []
    for test in mutation.tests:
        name, _, function = test.partition("::")
        paths = [path for path in files if f"/{path}".endswith(f"/{name}")]
        if len(paths) != 1 or f"def {function.partition('[')[0]}" not in paths[0].read_text():
            raise MutationError(
                f"{mutation.name}: expected the test {test} once below tests, found {name} in "
                f"{[str(path) for path in paths]}; bring it up to date in tools/mutations.py"
            )
        found.append(f"{paths[0]}::{function}" if function else str(paths[0]))
    return found


def check(mutations: Sequence[Mutation], root: Path) -> dict[str, tuple[Path, list[str]]]:
    """By name, the file and the tests of every mutation, relative to `root`."""
    twice = [n for n, count in Counter(m.name for m in mutations).items() if count > 1]
    if twice:
        raise MutationError(f"several mutations are called {', '.join(twice)}; rename")
    texts = {path.relative_to(root): path.read_text() for path in sources(root)}
    files = sorted((root / "tests").rglob("*.py"))
    found = {}
    for mutation in mutations:
        tests = [str(Path(t).relative_to(root)) for t in find_tests(mutation, files)]
        found[mutation.name] = find_file(mutation, texts), tests
    return found


class Copy:
    """A copy of the tree in which one mutation at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, 0
        folder.mkdir(parents=True)
        for name in _COPIED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for path in ROOT.iterdir():
            if path.is_file() and not path.name.startswith("."):
                shutil.copy(path, folder)

    def pytest(self, arguments: Sequence[str]) -> tuple[int | None, str]:
        """Exit status (None: too slow) and output of the tests in this copy.

        Without checks of shapes and types, which take half of a short test's time: a test should
        notice by what it says.
        """
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env |= {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", "-x", "-q"]
        command += ["-p", "no:cacheprovider", *_UNCHECKED]
        try:
            done = subprocess.run(
                [*command, *arguments],
                cwd=self.folder,
                env=env,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return None, ""
        return done.returncode, done.stdout + done.stderr

    def write(self, path: Path, text: str) -> None:
        """With a time of its own, so that Python never takes bytecode of another mutation."""
        self.clock += 1
        place = self.folder / path
        time_s = (ROOT / path).stat().st_mtime + self.clock
        place.write_text(text)
        os.utime(place, (time_s, time_s))

    def attempt(
        self, mutation: Mutation, path: Path, tests: Sequence[str], *, wider: bool
    ) -> Result:
        original = (self.folder / path).read_text()
        self.write(path, original.replace(mutation.old, mutation.new))
        try:
            return self._attempt(mutation, [tests, *(WIDER if wider else ())])
        finally:
            self.write(path, original)

    def _attempt(self, mutation: Mutation, suites: Sequence[Sequence[str]]) -> Result:
        output = ""
        for suite in suites:
            status, output = self.pytest(suite)
            outcome = "timeout" if status is None else _OUTCOMES.get(status, "broken")
            if outcome != "survived":
                failed = _FAILED.search(output)
                return Result(
                    name=mutation.name,
                    outcome=outcome,
                    killer=failed.group(1) if failed else "",
                    tests=tuple(suite),
                    output=output[-4000:] if outcome == "broken" else "",
                )
        return Result(name=mutation.name, outcome="survived", tests=tuple(suites[-1]))


def tree_hash(root: Path) -> str:
    digest = hashlib.sha256()
    for package in (*MUTATED, "recipes", "tests"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class Results:
    """What is known so far, in a JSON file. Results of another tree, or of a mutation that has
    changed since, do not count.
    """

    def __init__(self, path: Path, tree: str) -> None:
        self.path, self.tree, self.by_name = path, tree, {}
        saved = json.loads(path.read_text()) if path.exists() else {}
        if saved.get("tree") == tree:
            self.by_name = saved["results"]

    def knows(self, mutation: Mutation, *, wider: bool) -> bool:
        known = self.by_name.get(mutation.name)
        if known is None or known["mutation"] != _plain(mutation):
            return False
        return not wider or known["outcome"] != "survived" or tuple(known["tests"]) == WIDER[-1]

    def add(self, mutation: Mutation, result: Result) -> None:
        self.by_name[mutation.name] = {**_plain(result), "mutation": _plain(mutation)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        saved = {"tree": self.tree, "results": self.by_name}
        self.path.write_text(json.dumps(saved, indent=1) + "\n")


def _plain(record: Mutation | Result) -> dict:
    return json.loads(json.dumps(asdict(record)))


def run(
    mutations: Sequence[Mutation], out: Path, *, jobs: int = 2, wider: bool = False
) -> list[Result]:
    """Tries what `out` does not know yet, and returns the results of all `mutations`."""
    places = check(mutations, ROOT)
    results = Results(out, tree_hash(ROOT))
    open_ones = [m for m in mutations if not results.knows(m, wider=wider)]
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copies: queue.Queue[Copy] = queue.Queue()
        for number in range(min(jobs, len(open_ones))):
            copies.put(Copy(Path(folder, f"copy{number}")))
        if open_ones:
            _check_clean(copies, sorted({t for m in open_ones for t in places[m.name][1]}))

        def attempt(mutation: Mutation) -> Result:
            copy = copies.get()
            try:
                return copy.attempt(mutation, *places[mutation.name], wider=wider)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(jobs) as pool:
            tasks = {pool.submit(attempt, mutation): mutation for mutation in open_ones}
            for task in as_completed(tasks):
                results.add(tasks[task], task.result())
                print(f"{task.result().outcome:9}{task.result().name}  {task.result().killer}")
    names = {m.name for m in mutations}
    fields = ("name", "outcome", "killer", "tests", "output")
    return [Result(**{f: r[f] for f in fields}) for n, r in results.by_name.items() if n in names]


def _check_clean(copies: "queue.Queue[Copy]", tests: Sequence[str]) -> None:
    """A test that fails anyway kills everything."""
    copy = copies.get()
    files = {test for test in tests if "::" not in test}
    status, output = copy.pytest(
        [t for t in tests if t.partition("::")[0] not in files or t in files]
    )
    copies.put(copy)
    if status != 0:
        raise MutationError(f"the tests fail without any mutation:\n{output[-4000:]}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="says what there is and runs nothing")
    parser.add_argument("--only", default="", help="mutations whose name matches this expression")
    parser.add_argument("--all", action="store_true", help="tries survivors on wider suites")
    parser.add_argument("--jobs", type=int, default=2, help="how many are tried at once")
    parser.add_argument("--out", type=Path, default=Path("runs/mutations.json"))
    asked = parser.parse_args(arguments)
    chosen = [m for m in MUTATIONS if re.search(asked.only, m.name)]
    try:
        if asked.list:
            places = check(chosen, ROOT)
            for mutation in chosen:
                path, tests = places[mutation.name]
                print(f"{mutation.name} ({path}): {mutation.breaks}; {', '.join(tests)}")
            print(f"{len(chosen)} mutations")
            return 0
        results = run(chosen, asked.out, jobs=asked.jobs, wider=asked.all)
    except MutationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    counts = Counter(result.outcome for result in results)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    bad = [result for result in results if result.outcome in ("survived", "broken")]
    for result in bad:
        print(f"{result.outcome}: {result.name}\n{result.output}".rstrip())
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
