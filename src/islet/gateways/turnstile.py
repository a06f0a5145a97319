"""How many may come in at a time, when everybody comes at once."""

from random import Random
from typing import Final

CONNECTS_PER_S: Final = 1000.0
AT_ONCE: Final = 3000.0
LONGEST_REFUSAL_S: Final = 3.0


class Turnstile:
    """A bucket of `at_once` admissions that fills by `per_s`.

    Who is not admitted is told so after a while that is drawn for each, so that they do not come back together.
    """

    def __init__(self, rng: Random, *, per_s: float = CONNECTS_PER_S, at_once: float = AT_ONCE) -> None:
        self._rng, self._per_s, self._at_once = rng, per_s, at_once
        self._left = at_once
        self._seen_s = 0.0

    def refusal_s(self, now_s: float) -> float | None:
        """None: come in. Otherwise how long to wait before saying no; `now_s` is a clock that only goes forward."""
        self._left = min(self._at_once, self._left + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        if self._left >= 1.0:
            self._left -= 1.0
            return None
        return self._rng.uniform(0.0, LONGEST_REFUSAL_S)
