"""Log-in attempts, and how long the next one has to wait. In memory: a restart forgets them."""

from collections import OrderedDict
from threading import Lock
from typing import Final

_FREE: Final = {"pair": 5, "address": 30, "name": 100}
"""Attempts before a wait: of one name from one address (a typing error), of one address (a ward behind one router),
of one name from anywhere (a distributed guess; high, so that a stranger cannot easily lock a nurse out)."""
_FIRST_WAIT_S: Final = 2.0
_LONGEST_WAIT_S: Final = 300.0
_KEPT: Final = 10_000

_Key = tuple[str, str, str]


class Attempts:
    """Counts attempts until one succeeds; each one beyond the free ones doubles the wait.

    An attempt is counted when it begins, so that many at once gain nothing. `speed` is the platform clock's.
    """

    def __init__(self, *, speed: float = 1.0) -> None:
        self._second_us = 1e6 * speed
        self._counts: OrderedDict[_Key, tuple[int, int]] = OrderedDict()  # attempts, not before this instant
        self._lock = Lock()

    def begin(self, name: str, address: str, now_us: int) -> int:
        """Count an attempt; or, without counting it, the µs of the platform's clock that it has to wait (> 0)."""
        with self._lock:
            keys = _keys(name, address)
            wait_us = max(self._counts.get(key, (0, 0))[1] - now_us for key in keys)
            if wait_us > 0:
                return wait_us
            for key in keys:
                count = self._counts.pop(key, (0, 0))[0] + 1
                self._counts[key] = (count, now_us + self._wait_us(count - _FREE[key[0]]))
            while len(self._counts) > _KEPT:
                self._counts.popitem(last=False)
            return 0

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failures of this name from this address."""
        with self._lock:
            for key in _keys(name, address):
                if key[0] != "address":  # or one known password would allow endless guesses at others
                    self._counts.pop(key, None)

    def _wait_us(self, beyond: int) -> int:
        if beyond < 0:
            return 0
        return round(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(beyond, 10)) * self._second_us)


def _keys(name: str, address: str) -> tuple[_Key, ...]:
    return ("pair", name, address), ("address", "", address), ("name", name, "")
