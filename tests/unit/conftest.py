import pytest

from omnimask.foundation import trust


@pytest.fixture(autouse=True)
def toys_may_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of toy recipes name records of the tests."""
    monkeypatch.setattr(trust, "_trusted", {"tests"})
