"""Which entries hold, in plain words: slow, and right at a glance."""

from collections.abc import Iterable

from msgspec import UNSET

from islet.model.care_events import rank
from islet.model.events import AnyCareEvent, Withdrawal


def counted(entries: Iterable[tuple[str, AnyCareEvent]]) -> list[tuple[str, AnyCareEvent]]:
    """Each thing once: without an id always, else where nothing of its id outdoes it; a withdrawal never."""
    found = list(dict.fromkeys(entries))
    return [
        (device, one)
        for device, one in found
        if not isinstance(one, Withdrawal)
        and (
            one.id is UNSET
            or rank(one) == max(rank(other) for of, other in found if (of, other.id) == (device, one.id))
        )
    ]
