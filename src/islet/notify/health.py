"""Whether alarms reach each recipient: the last success, failures since, and the monthly test."""

from datetime import timedelta
from typing import Final, NamedTuple

from islet.model.time import DAY_US, from_us
from islet.model.time_zones import zone_or_utc
from islet.notify.base import Delivered, Outcome
from islet.notify.recipients import Lane
from islet.notify.tables import Tables

TEST_EVERY: Final = timedelta(days=30)
_DAYTIME: Final = range(10, 18)  # hours, in the recipient's zone: a test must not wake anybody
_EVERY_US: Final = TEST_EVERY.days * DAY_US


class Health(NamedTuple):
    """One recipient's. Instants are of the wall's clock, but `tested_us` and `confirmed_us` of the platform's.

    `failures`: tries since the last success. `confirmed_us`: when a person last answered a test.
    """

    channel: str
    recipient: str
    succeeded_us: int | None
    failed_us: int | None
    failures: int
    reason: str
    tested_us: int | None
    confirmed_us: int | None


def is_test_due(first_seen_us: int, tested_us: int | None, zone: str, now_us: int) -> bool:
    """Whether a recipient should get a test now: each 30 days, the first 30 days after they were first seen, by day."""
    last_us = first_seen_us if tested_us is None else tested_us
    return now_us - last_us >= _EVERY_US and from_us(now_us).astimezone(zone_or_utc(zone)).hour in _DAYTIME


class Healths:
    """The table. Methods that write are to be called inside the tables' `transaction()`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def note(self, lane: Lane, outcome: Outcome, now_us: int) -> None:
        """What became of one try."""
        if isinstance(outcome, Delivered):
            self._upsert(lane, "succeeded_us = ?3, failures = 0, reason = ''", (now_us,))
        else:
            self._upsert(lane, "failed_us = ?3, failures = failures + 1, reason = ?4", (now_us, outcome.reason))

    def first_seen_us(self, lane: Lane, now_us: int) -> tuple[int, int | None]:
        """When a recipient was first seen (now, if never), and when last tested."""
        self._upsert(lane, "first_seen_us = coalesce(first_seen_us, ?3)", (now_us,))
        where = "WHERE channel = ? AND recipient = ?"
        seen, tested = self._tables.rows(f"SELECT first_seen_us, tested_us FROM outbox_health {where}", lane)[0]
        return seen, tested

    def tested(self, lane: Lane, now_us: int) -> None:
        self._upsert(lane, "tested_us = ?3", (now_us,))

    def confirmed(self, lane: Lane, now_us: int) -> None:
        self._upsert(lane, "confirmed_us = ?3", (now_us,))

    def put_back(self, now_us: int) -> None:
        """The platform's clock was put back: who was seen or tested ahead of it was so now."""
        self._tables.write(
            "UPDATE outbox_health SET first_seen_us = min(first_seen_us, ?1), tested_us = min(tested_us, ?1)"
            " WHERE first_seen_us > ?1 OR tested_us > ?1",
            (now_us,),
        )

    def all(self) -> list[Health]:
        """Every recipient that something was ever sent to, those that fail first."""
        rows = self._tables.rows(
            "SELECT channel, recipient, succeeded_us, failed_us, failures, reason, tested_us, confirmed_us"
            " FROM outbox_health WHERE succeeded_us IS NOT NULL OR failed_us IS NOT NULL"
            " ORDER BY failures DESC, channel, recipient"
        )
        return [Health(*row) for row in rows]

    def _upsert(self, lane: Lane, change: str, values: tuple[int | str, ...]) -> None:
        self._tables.write(
            "INSERT OR IGNORE INTO outbox_health (channel, recipient, failures, reason) VALUES (?, ?, 0, '')", lane
        )
        self._tables.write(f"UPDATE outbox_health SET {change} WHERE channel = ?1 AND recipient = ?2", (*lane, *values))
