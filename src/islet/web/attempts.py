"""Log-in attempts, and how long the next one has to wait. In memory: a restart forgets them."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class _Limit:
    """`free` attempts without a wait; one is forgiven every `forgiven_s` in which no wait runs."""

    free: int
    longest_wait_s: float
    forgiven_s: float


_LIMITS: Final = {
    "pair": _Limit(free=5, longest_wait_s=300.0, forgiven_s=300.0),  # of one name from one address: a typing error
    "address": _Limit(free=30, longest_wait_s=2.0, forgiven_s=2.0),  # a ward behind one router: never long
    "name": _Limit(free=100, longest_wait_s=300.0, forgiven_s=60.0),  # from anywhere: a guess from many machines
}
_FIRST_WAIT_S: Final = 2.0
_MOST_BEYOND: Final = 10
"""Attempts beyond the free ones that are remembered, so that the longest wait is forgiven in a bounded time."""
_KEPT: Final = 10_000

_Key = tuple[str, str, str]


class Attempts:
    """Counts attempts; each one beyond the free ones doubles the wait. Success gives the attempt back.

    An attempt is counted when it begins, so that many at once gain nothing. Who has logged in from an address before
    is counted alone there: what others do, at that address or to that name elsewhere, does not make them wait. A browser
    that somebody has logged in with is a place of its own: what others do to that name at the same address is not theirs.
    `speed` is the platform clock's.
    """

    def __init__(self, *, speed: float = 1.0) -> None:
        self._second_us = 1e6 * speed
        self._counts: OrderedDict[_Key, tuple[float, int]] = OrderedDict()  # attempts, not before this instant
        self._known: OrderedDict[_Key, None] = OrderedDict()
        self._lock = Lock()

    def begin(self, name: str, address: str, now_us: int, browser: str = "") -> int:
        """Count an attempt; or, without counting it, the µs of the platform's clock that it has to wait (> 0)."""
        with self._lock:
            keys = self._keys(name, address, browser)
            wait_us = max(self._counts.get(key, (0.0, 0))[1] - now_us for key in keys)
            if wait_us > 0:
                return wait_us
            for key in keys:
                self._count(key, now_us)
            while len(self._counts) > _KEPT:
                self._counts.popitem(last=False)
            return 0

    def succeeded(self, name: str, address: str, now_us: int, browser: str = "") -> None:
        """Forget the failures of this name, and take this attempt from the address's.

        Not more than this one: or one known password would allow endless guesses at others.
        """
        with self._lock:
            for key in self._keys(name, address, browser):
                if key[0] == "address":
                    self._give_back(key, now_us)
                else:
                    self._counts.pop(key, None)
            for place in filter(None, (address, browser)):
                pair = ("pair", name, place)
                self._known[pair] = None
                self._known.move_to_end(pair)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)

    def _keys(self, name: str, address: str, browser: str) -> tuple[_Key, ...]:
        own, pair = ("pair", name, browser), ("pair", name, address)
        if browser and own in self._known:
            return (own,)
        return (pair,) if pair in self._known else (pair, ("address", "", address), ("name", name, ""))

    def _count(self, key: _Key, now_us: int) -> None:
        limit = _LIMITS[key[0]]
        before, free_us = self._counts.pop(key, (0.0, now_us))
        forgiven = (now_us - free_us) / (limit.forgiven_s * self._second_us)
        count = min(max(0.0, before - forgiven) + 1, limit.free + _MOST_BEYOND)
        self._counts[key] = (count, now_us + self._wait_us(limit, int(count) - limit.free))

    def _give_back(self, key: _Key, now_us: int) -> None:
        """One attempt less; the wait that it caused ends, one that others caused does not."""
        count, free_us = self._counts.get(key, (0.0, now_us))
        left = max(0.0, count - 1)
        self._counts[key] = (left, free_us if left >= _LIMITS[key[0]].free else min(free_us, now_us))

    def _wait_us(self, limit: _Limit, beyond: int) -> int:
        if beyond < 0:
            return 0
        return round(min(limit.longest_wait_s, _FIRST_WAIT_S * 2.0**beyond) * self._second_us)
