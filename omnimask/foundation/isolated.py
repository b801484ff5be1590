"""Runs small snippets in another process, which may die of one without harm to the others."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MARK = "omnimask-result "  # what else a library prints is not a result
_TIMEOUT_S = 300

_CHILD = f"""
import json, sys
for name, code in json.loads(sys.stdin.read()).items():
    try:
        found = {{"result": None}}
        exec(code, found)
        entry = {{"name": name, "result": found["result"], "error": None}}
    except BaseException as error:
        text = " ".join(str(error).split())
        entry = {{"name": name, "result": None, "error": f"{{type(error).__name__}}: {{text}}"}}
    print("\\n{_MARK}" + json.dumps(entry), flush=True)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a snippet left in `result`, or the error that stopped it."""

    result: Any
    error: str | None


def run_isolated(snippets: Mapping[str, str]) -> dict[str, Answer]:
    """Runs Python snippets one after another; each may set a JSON-able `result`.

    Where the process itself dies (a library may abort it), that snippet's error says so and the
    remaining ones go on in a new process.
    """
    answers: dict[str, Answer] = {}
    waiting = dict(snippets)
    while waiting:
        done, status = _run(waiting)
        answers |= done
        waiting = {name: code for name, code in waiting.items() if name not in answers}
        if waiting:
            name = next(iter(waiting))
            waiting.pop(name)
            answers[name] = Answer(result=None, error=f"the process died ({status})")
    return answers


def _run(snippets: Mapping[str, str]) -> tuple[dict[str, Answer], str]:
    """The answers of one process, and how it ended."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", _CHILD],
            input=json.dumps(dict(snippets)),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        output, status = child.stdout, f"exit status {child.returncode}"
    except subprocess.TimeoutExpired as error:
        partial = error.stdout or b""
        output = partial.decode() if isinstance(partial, bytes) else partial
        status = f"no answer within {_TIMEOUT_S} s"
    entries = [
        json.loads(line.removeprefix(_MARK))
        for line in output.splitlines()
        if line.startswith(_MARK)
    ]
    answers = {e["name"]: Answer(result=e["result"], error=e["error"]) for e in entries}
    return answers, status
