"""Those whom a door did not let in, as lines of the audit trail: counted, so that no attack can fill it."""

import ipaddress
from collections import Counter
from threading import Lock
from typing import Final

from islet.model.time import MINUTE_US, Now
from islet.store.base import EntryKind, Registry

LOG_IN: Final = "log-in"
API_KEY: Final = "API key"
CONNECTION: Final = "connection"
REQUEST: Final = "device request"

LINES_A_MINUTE: Final = 20
_COUNTED: Final = 1_000
_LONGEST_NAME: Final = 128
_Attempt = tuple[str, str, str]


class TurnedAway:
    """Counts, by door, name and network, in memory; `write` makes a line of each count when its minute is over.

    The LINES_A_MINUTE largest have a line each, the others one together. A name is written only where somebody here has
    it (people type their password into the wrong field), and of an address the network (/24, of IPv6 /48). `now` is the
    platform's clock. From any thread; `count` touches no disk.
    """

    def __init__(self, registry: Registry, now: Now) -> None:
        self._registry, self._now = registry, now
        self._counts: Counter[_Attempt] = Counter()
        self._beyond = 0
        self._minute = 0
        self._lock = Lock()

    def count(self, door: str, name: str, address: str) -> None:
        """Somebody at `address` ("" where it is not known), who says that they are `name`, was refused at that door."""
        attempt = (door, name[:_LONGEST_NAME], _network(address))
        with self._lock:
            if not self._counts:
                self._minute = self._now() // MINUTE_US
            if attempt in self._counts or len(self._counts) < _COUNTED:
                self._counts[attempt] += 1
            else:
                self._beyond += 1

    def write(self, *, at_once: bool = False) -> None:
        """Write the counts, if the minute in which they began is over, or `at_once`."""
        with self._lock:
            if not self._counts or not (at_once or self._now() // MINUTE_US != self._minute):
                return
            counts, beyond = self._counts, self._beyond
            self._counts, self._beyond = Counter(), 0
        known: Counter[_Attempt] = Counter()
        for (door, name, network), count in counts.items():
            known[door, name if self._is_known(door, name) else "", network] += count
        largest = known.most_common(LINES_A_MINUTE)
        for attempt, count in largest:
            self._note(*attempt, count)
        rest = beyond + known.total() - sum(count for _, count in largest)
        if rest:
            self._note("any door", "", "", rest)

    def _is_known(self, door: str, name: str) -> bool:
        if not name:
            return False
        if door == API_KEY:
            return self._registry.entry(EntryKind.API_KEY, name) is not None
        found = self._registry.user(name) if door == LOG_IN else self._registry.device(name)
        return found is not None

    def _note(self, door: str, name: str, network: str, count: int) -> None:
        times = "once" if count == 1 else f"{count} times"
        who = f"somebody at {network}" if network else "somebody"
        self._registry.note(f"refused {times}", door, name or "(unknown)", by=who, at_us=self._now())


def _network(address: str) -> str:
    """The network of an address or of a network that is smaller; "" where it is none.

    >>> _network("192.0.2.77"), _network("2001:db8:1:2::/64"), _network("testclient")
    ('192.0.2.0/24', '2001:db8:1::/48', '')
    """
    try:
        given = ipaddress.ip_network(address)
    except ValueError:
        return ""
    prefix = min(given.prefixlen, 24 if given.version == 4 else 48)
    return str(given.supernet(new_prefix=prefix))
