"""Commands that are imported when they are asked for: most of them need much that `islet users` does not."""

import ast
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from islet.commands.refusals import PlainGroup


class LazyGroup(PlainGroup):
    """A group, some of whose commands are in other files: `elsewhere` names each as "module:function"."""

    def __init__(self, *given: Any, elsewhere: Mapping[str, str], **options: Any) -> None:
        super().__init__(*given, **options)
        self._elsewhere = elsewhere

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), *self._elsewhere])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        place = self._elsewhere.get(name)
        if place is None:
            return super().get_command(context, name)
        module, function = place.split(":")
        command: click.Command = getattr(import_module(module), function)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the group's help, for which the files are read and not imported."""
        described = {name: click.Command(name, help=_docstring(place)) for name, place in self._elsewhere.items()}
        click.Group(commands={**self.commands, **described}).format_commands(context, formatter)


def _docstring(place: str) -> str | None:
    """Of a function, out of its module's source."""
    module, function = place.split(":")
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_bytes())
    (found,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    return ast.get_docstring(found)
