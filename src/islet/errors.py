"""The error tree on one page.

`BadInput` is the fault of what came in (a device, a file, a caller): it is answered, counted and kept in
`dead_letters`; nothing else stops. Everything else under `IsletError` is a fault of this installation.
A message says what was expected, what came, and what to do. It never holds a name, a secret or a health value.
"""

import os


class IsletError(Exception):
    """Any error that Islet raises on purpose."""


class BadInput(IsletError):
    """What came in cannot be understood. `reason` is a stable word for counting."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnknownUnit(BadInput):
    """A value came without a unit that is known; units are never guessed."""

    def __init__(self, unit: str, allowed: tuple[str, ...]) -> None:
        shown = unit if len(unit) <= 20 else unit[:20] + "…"
        super().__init__(f"unit: expected one of {', '.join(allowed)}; got {shown!r}", reason="unit")


class ProtocolError(BadInput):
    """A peer broke its protocol; only that connection is closed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="protocol")


class AccessDenied(IsletError):
    """The decision was no; `reason` can be shown to the person who asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotFound(IsletError):
    """The thing asked for does not exist (or may not be known to the one who asks)."""


class AlreadyExists(IsletError):
    """A thing of that name exists already."""


class SettingError(IsletError):
    """A setting is unknown, of the wrong type or out of range; the message names it and says what is allowed."""


class CannotListen(SettingError):
    """A port that is taken, or an address that is not this machine's."""

    def __init__(self, host: str, port: int, reason: OSError) -> None:
        number = reason.errno or 0
        why = os.strerror(number) if number > 0 else reason.strerror or str(reason)
        super().__init__(f"cannot listen on {host}:{port}: {why}; `islet check` tells which ports are free")


class KeyUnavailable(IsletError):
    """The data key could not be had, or does not open this database."""


class LogDamaged(IsletError):
    """Stored bytes do not verify or do not decode. Nothing is guessed; the message names the segment."""


class OffsetExpired(IsletError):
    """A consumer asks for entries that retention has removed; `begin` is the first offset that is left."""

    def __init__(self, topic: str, partition: int, offset: int, begin: int) -> None:
        super().__init__(
            f"{topic}/{partition}: offset {offset} is no longer kept; the first one left is {begin}. "
            "Start again from there, or from the store"
        )
        self.begin = begin


class RuleRefused(IsletError):
    """A rule cannot be planned; `line` is where, the message what is allowed instead."""

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class RuleTooCostly(RuleRefused):
    """A rule over the whole history that takes too long, too much memory, or gives too much, whomever it is asked about."""


def system_words(error: Exception | None) -> str:
    """What the operating system says of it ("No space left on device"), for a log; "" for what is no error of its."""
    return (error.strerror or "") if isinstance(error, OSError) else ""
