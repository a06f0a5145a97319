"""What all tests share: the data to try on, and skips that can be seen (or are failures, in CI)."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

EXAMPLES = int(os.environ.get("ISLET_EXAMPLES", "40"))
"""Of each property; CI tries 100."""

# no deadline: the first example of some reads kernels or zones from the disk
settings.register_profile("islet", deadline=None, max_examples=EXAMPLES)
settings.load_profile("islet")


def examples(full: int) -> int:
    """How many of a property that CI tries with `full`."""
    return max(1, full * EXAMPLES // 100)


Missing = Callable[[str], NoReturn]


@pytest.fixture
def missing() -> Missing:
    """Skip because something that the test needs is not on this machine; with ISLET_REQUIRE_SERVICES=1, fail."""

    def say(what: str) -> NoReturn:
        if os.environ.get("ISLET_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{what}: required here (ISLET_REQUIRE_SERVICES=1), but missing")
        pytest.skip(f"{what} is not on this machine")

    return say


def own_host(number: int) -> str:
    """An address on loopback that no other module has (they give different numbers), nor another process of the same
    tests: SDKs know no other ports than the usual ones."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return f"127.0.{int(worker)}.{number}"


def need_ports(missing: Missing, host: str, *ports: int) -> None:
    """Go on where a server could listen at each of them."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                missing(f"a free {host}:{port}")


@pytest.fixture
def shared_data() -> Path:
    """The folder of data to try on; not part of the repository, so that its absence is a skip everywhere."""
    default = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    path = Path(os.environ.get("ISLET_SHARED_DATA", default))
    if not path.is_dir():
        pytest.skip("the shared data is not on this machine (set ISLET_SHARED_DATA)")
    return path
