"""Commands that are imported when they are asked for: most of them need much that `islet users` does not."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from islet.commands.refusals import PlainGroup


class LazyGroup(PlainGroup):
    """A group, some of whose commands are in other files: `elsewhere` names each as "module:attribute"."""

    def __init__(self, *given: Any, elsewhere: Mapping[str, str], **options: Any) -> None:
        super().__init__(*given, **options)
        self._elsewhere = elsewhere

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), *self._elsewhere])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        place = self._elsewhere.get(name)
        if place is None:
            return super().get_command(context, name)
        module, attribute = place.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command
