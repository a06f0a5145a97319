"""The clinic that the tests of this room look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.clinic import Clinic


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    clinic = Clinic(tmp_path)
    yield clinic
    clinic.close()
