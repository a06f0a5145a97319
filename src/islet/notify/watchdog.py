"""The dead man's switch: who watches that the engine works. Pure."""

from typing import Literal

from msgspec import Struct

from islet.model.time import HOUR_US

Change = Literal["", "silent", "still silent", "back"]


class Watch(Struct, frozen=True, kw_only=True):
    """What is remembered: since when the engine is known to be silent (its last tick), and when that was last said."""

    silent_since_us: int | None = None
    said_us: int | None = None


def watched(
    watch: Watch, heartbeat_us: int, silent_after_us: int, now_us: int, *, from_us: int = 0
) -> tuple[Watch, Change]:
    """The watch after a look, and what is to be said. `heartbeat_us`: the engine's last tick; `from_us`: since when it is
    listened for.

    Silent means that the tick is older than `silent_after_us`; it is said at once and each hour, and once when it is
    over. A tick that is old when we begin to listen is waited for as long, but ends no silence that is known.

    >>> watched(Watch(), 0, 300, 301)[1], watched(Watch(), 0, 300, 300)[1]
    ('silent', '')
    """
    if watch.silent_since_us is None:
        silent = now_us - max(heartbeat_us, from_us) > silent_after_us
        return (Watch(silent_since_us=heartbeat_us, said_us=now_us), "silent") if silent else (watch, "")
    if now_us - heartbeat_us <= silent_after_us:
        return Watch(), "back"
    if watch.said_us is not None and abs(now_us - watch.said_us) >= HOUR_US:  # also when the clock was put back
        return Watch(silent_since_us=watch.silent_since_us, said_us=now_us), "still silent"
    return watch, ""
