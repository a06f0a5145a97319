"""The portal that most tests of this room ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from islet.model.people import Role
from tests.web.portal import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A portal with an administrator, a clinician of p-1, and two patients."""
    site = Site(tmp_path)
    site.add_patient("p-1", "Ada Example")
    site.add_patient("p-2", "Ben Example")
    site.add_user("admin", Role.ADMINISTRATOR)
    site.add_user("nurse", Role.CLINICIAN, "p-1")
    yield site
    site.close()
