"""The examples in the docstrings of metrics run, and say what they say."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import islet.metrics
from islet.metrics.grid import day_grid
from islet.metrics.people import every

MODULES = sorted(module.name for module in pkgutil.iter_modules(islet.metrics.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_every_example_says_what_it_says(name: str) -> None:
    module = import_module(f"islet.metrics.{name}")
    given = {"every": every, "day_grid": day_grid, **vars(module)}
    assert doctest.testmod(module, extraglobs=given).failed == 0


def test_there_are_examples() -> None:
    found = doctest.DocTestFinder()
    tried = sum(bool(one.examples) for name in MODULES for one in found.find(import_module(f"islet.metrics.{name}")))
    assert tried >= 30
