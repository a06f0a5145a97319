"""Structured logs: one JSON object a line (or text for a terminal), on standard error."""

import logging
import sys
from traceback import StackSummary, walk_tb
from types import TracebackType
from typing import Final

import structlog

from islet.errors import IsletError

_SAY_NO_VALUE: Final = (IsletError, OSError)
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(level: str, format: str) -> None:
    """Set up logging for the process. Libraries that log through the standard library come out in the same form."""
    timestamps = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        timestamps,
        structlog.processors.ExceptionRenderer(exception_text),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


def exception_text(exc_info: _ExcInfo) -> str:
    """Where an error was raised, and what it comes from. What it says only where it is ours or a disk's: those of Python
    and of libraries quote what they were given, which may be a value of somebody's glucose.

    >>> exception_text((ValueError, ValueError("could not convert string to float: '6.2 x'"), None))
    'ValueError'
    """
    chain = [exc_info[1]]
    while (before := _before(chain[-1])) is not None and before not in chain:
        chain.append(before)
    return "\nwhich led to\n".join(_told(error) for error in reversed(chain))


def _before(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _told(error: BaseException) -> str:
    frames = "".join(StackSummary.extract(walk_tb(error.__traceback__)).format())
    kind = type(error).__qualname__
    return frames + (f"{kind}: {error}" if isinstance(error, _SAY_NO_VALUE) else kind)
