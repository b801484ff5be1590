from collections.abc import Iterator

import pytest

from omnimask.foundation import trust


@pytest.fixture(autouse=True, scope="module")
def toys_may_be_loaded() -> Iterator[None]:
    """Runs of toy recipes are made of records of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "_trusted", {"tests"})
        yield
