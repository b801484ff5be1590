"""Packages of extras that the core asks for: hidden, they are named with the command."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from omnimask.data.label_tables import read_table
from omnimask.foundation.errors import RecipeError
from omnimask.foundation.optional import needs
from omnimask.network.encoder import Backbone
from omnimask.transfer.embedding.store import made_of
from omnimask.transfer.finetuning.lora import add_lora
from omnimask.transfer.finetuning.recipe import Lora
from tests.unit.toy_recipe import TOYS, toy_recipe


def test_what_is_there_passes() -> None:
    needs("json", "torch", extra="audio")


@pytest.mark.parametrize(
    ("use", "package", "extra"),
    [
        (lambda: needs("json", "no_such_package", extra="x"), "no_such_package", "x"),
        (lambda: made_of(Path(__file__)), "pyarrow", "tabular"),
        (lambda: read_table(Path(__file__)), "pandas", "tabular"),
        (lambda: read_table(Path(__file__)), "pyarrow", "tabular"),
        (lambda: add_lora(Backbone(TOYS, toy_recipe().encoder), Lora(rank=1)), "peft", "finetune"),
    ],
)
def test_what_is_missing_is_named_with_the_command(
    use: Callable[[], object], package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RecipeError) as error:
        use()
    assert f"needs {package}" in str(error.value)
    assert f"`uv pip install 'omnimask[{extra}]'`" in str(error.value)


def test_a_library_that_does_not_load_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_one.py").write_text("raise OSError('libsndfile.so: no such file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RecipeError, match=r"broken_one.*libsndfile.*omnimask doctor"):
        needs("broken_one", extra="audio")
