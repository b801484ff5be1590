"""Settings that a search tries next, given how the former did; Optuna remembers in a file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnimask.foundation.errors import RecipeError
from omnimask.foundation.optional import needs
from omnimask.recipe.search_space import Space
from omnimask.training.checkpoint import write_json

_WHAT, _LOG = "search.json", "search.log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """`value` is None until it is known, and where its runs failed."""

    number: int
    settings: tuple[str, ...]
    value: float | None = None


class Trials:
    """The trials of a search in the folder `out`.

    `said` is what makes the search: RecipeError where the folder belongs to another one. The same
    trials come out of the same search, done one after another.
    """

    def __init__(
        self,
        out: Path,
        spaces: Sequence[Space],
        *,
        maximise: bool,
        seed: int,
        said: Mapping[str, Any],
    ) -> None:
        needs("optuna", extra="optuna", what="--search")
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        _claim(out, said)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.spaces = tuple(spaces)
        self.distributions = {space.path: _distribution(space) for space in spaces}
        storage = JournalStorage(JournalFileBackend(str(out / _LOG)))
        self.study = optuna.create_study(
            study_name="search",
            storage=storage,
            direction="maximize" if maximise else "minimize",
            load_if_exists=True,
        )
        # Optuna does not save its sampler: of every start another seed, by how far the search is.
        done = len(self.study.get_trials(deepcopy=False))
        self.study.sampler = optuna.samplers.TPESampler(seed=seed * 1_000_003 + done)

    def unfinished(self) -> list[Trial]:
        """Begun before the search was interrupted."""
        return [trial for trial in self.all() if self._is_running(trial.number)]

    def next(self) -> Trial:
        """One more, by what is known of the others."""
        return self._trial(self.study.ask(self.distributions))

    def tell(self, trial: Trial, value: float | None) -> None:
        """How it did; None where its runs failed, which the search then leaves out."""
        from optuna.trial import TrialState

        if value is None:
            self.study.tell(trial.number, state=TrialState.FAIL)
        else:
            self.study.tell(trial.number, value)

    def all(self) -> list[Trial]:
        return [self._trial(trial) for trial in self.study.get_trials(deepcopy=False)]

    def best(self) -> Trial | None:
        """None where no trial has a value."""
        known = [trial for trial in self.all() if trial.value is not None]
        return self._trial(self.study.best_trial) if known else None

    def _is_running(self, number: int) -> bool:
        return not self.study.get_trials(deepcopy=False)[number].state.is_finished()

    def _trial(self, trial: Any) -> Trial:
        settings = tuple(space.assignment(trial.params[space.path]) for space in self.spaces)
        return Trial(number=trial.number, settings=settings, value=getattr(trial, "value", None))


def _distribution(space: Space) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if space.kind == "choice":
        return CategoricalDistribution(space.choices)
    if space.kind == "int":
        return IntDistribution(int(space.low), int(space.high))
    return FloatDistribution(space.low, space.high, log=space.kind == "log")


def _claim(out: Path, said: Mapping[str, Any]) -> None:
    """Makes the folder that of this search."""
    path = out / _WHAT
    if path.is_file():
        before = json.loads(path.read_text())
        changed = [key for key in said if before.get(key) != said[key]]
        if changed:
            differences = "; ".join(f"{k}: {before.get(k)} -> {said[k]}" for k in changed)
            raise RecipeError(
                f"{out} belongs to another search ({differences}); choose another --out, or give "
                "the same command to go on with this one"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, said)
