"""Which refusals were noted lately, so that each is a line of the audit trail once in a while and not at every click."""

from collections import OrderedDict
from threading import Lock
from typing import Final

from islet.model.time import MINUTE_US

_AGAIN_US: Final = 10 * MINUTE_US
_KEPT: Final = 10_000


class Refusals:
    """Remembers the latest _KEPT of them. From any thread."""

    def __init__(self) -> None:
        self._noted: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = Lock()

    def is_new(self, refusal: tuple[str, str], now_us: int) -> bool:
        """Whether this one (who, what) was not noted within the last ten minutes; it counts as noted then."""
        with self._lock:
            noted_us = self._noted.get(refusal)
            if noted_us is not None and now_us - noted_us < _AGAIN_US:
                return False
            self._noted[refusal] = now_us
            self._noted.move_to_end(refusal)
            while len(self._noted) > _KEPT:
                self._noted.popitem(last=False)
            return True
