"""What the extra `ble` brings: a skip that can be seen where it is missing, a failure where it is required."""

import os
from importlib import import_module

import pytest


def require(package: str) -> None:
    """For the top of a module of tests."""
    try:
        import_module(package)
    except ImportError:
        if os.environ.get("ISLET_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"{package} (the extra `ble`) is not on this machine", allow_module_level=True)
