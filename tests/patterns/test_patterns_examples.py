"""The examples in the docstrings of patterns, and of what they know of insulin, come true."""

import doctest
import importlib
import pkgutil

import pytest

import islet.patterns

MODULES = [
    "islet.model.insulins",
    *(one.name for one in pkgutil.walk_packages(islet.patterns.__path__, "islet.patterns.")),
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_come_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
