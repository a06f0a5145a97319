"""The dead man's switch: who watches that the engine works. Pure."""

from typing import Literal

from msgspec import Struct

from islet.model.time import HOUR_US

Change = Literal["", "silent", "still silent", "back"]


class Watch(Struct, frozen=True, kw_only=True):
    """What is remembered: since when the engine is known to be silent (its last tick), and when that was last said."""

    silent_since_us: int | None = None
    said_us: int | None = None


def watched(watch: Watch, heartbeat_us: int, silent_after_us: int, now_us: int) -> tuple[Watch, Change]:
    """The watch after a look, and what is to be said. `heartbeat_us`: the engine's last tick.

    Silent means that the tick is older than `silent_after_us`; it is said at once and each hour, and once when it is
    over.

    >>> watched(Watch(), 0, 300, 301)[1], watched(Watch(), 0, 300, 300)[1]
    ('silent', '')
    """
    silent = now_us - heartbeat_us > silent_after_us
    if watch.silent_since_us is None:
        return (Watch(silent_since_us=heartbeat_us, said_us=now_us), "silent") if silent else (watch, "")
    if not silent:
        return Watch(), "back"
    if watch.said_us is not None and abs(now_us - watch.said_us) >= HOUR_US:  # also when the clock was put back
        return Watch(silent_since_us=watch.silent_since_us, said_us=now_us), "still silent"
    return watch, ""
