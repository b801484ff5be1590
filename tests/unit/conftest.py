import pytest

from omnimask import records


@pytest.fixture(autouse=True)
def toys_may_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of toy recipes name records of the tests."""
    monkeypatch.setattr(records, "OUR_PACKAGES", (*records.OUR_PACKAGES, "tests"))
