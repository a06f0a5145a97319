"""How the command line refuses: in one sentence, never with a traceback."""

import math
from typing import Any, Final

import click

from islet.errors import IsletError

SEED: Final = click.IntRange(0, 2**32 - 1)
"""What draws made-up people and models can begin with."""


class PlainGroup(click.Group):
    """A group whose commands, all of them, show Islet's own errors and those of the machine as one sentence."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except IsletError as error:
            raise click.ClickException(str(error)) from error
        except BrokenPipeError:  # `islet … | head`: click ends quietly
            raise
        except OSError as error:
            said = error.strerror or type(error).__name__
            raise click.ClickException(f"{error.filename}: {said}" if error.filename else said) from error


class FiniteRange(click.FloatRange):
    """A number in a range. click takes `nan` and `inf` for numbers; here they are none."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        number: float = super().convert(value, param, context)
        if not math.isfinite(number):
            self.fail("expected a finite number", param, context)
        return number
