"""A clock that tests move."""

from tests.gateways.door import NOW_US


class Clock:
    """The wall's, which stands until it is moved."""

    now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us
