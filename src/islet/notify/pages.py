"""The alerts that page somebody, and the snoozes: the pager's memory in the outbox's tables."""

from collections.abc import Collection, Sequence
from typing import Final, Literal, NamedTuple

from msgspec import convert, structs

from islet.notify.schedule import Paging
from islet.notify.tables import Tables

_FIELDS: Final = tuple(field.name for field in structs.fields(Paging))
_COLUMNS: Final = ", ".join(_FIELDS)


Trouble = Literal["unanswered", "undeliverable"]


class Unanswered(NamedTuple):
    """An alert that nobody acknowledged for as long as its policy allows; it pages nobody any more."""

    alert: str
    patient: str
    rule: str
    from_us: int


class Snooze(NamedTuple):
    """Alerts of one rule that page nobody for a while, because a person said so."""

    patient: str
    rule: str
    until_us: int
    by: str
    at_us: int


class Pages:
    """The tables. Methods that write are to be called inside the tables' `transaction()`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def get(self, alert: str) -> Paging | None:
        """One alert, if it pages or paged somebody."""
        rows = self._select("alert = ?", (alert,))
        return rows[0] if rows else None

    def active(self, patient: str, rules: Sequence[str]) -> list[Paging]:
        """The patient's alerts of these rules that have not ended."""
        if not rules:
            return []
        return [one for one in self._select("patient = ? AND ended = ''", (patient,)) if one.rule in rules]

    def put(self, paging: Paging, now_us: int) -> None:
        """Keep it as it is now; it is looked at when next asked what is due."""
        values = tuple(getattr(paging, name) for name in _FIELDS)
        self._tables.write(
            f"INSERT OR REPLACE INTO outbox_alert ({_COLUMNS}, next_us, changed_us)"
            f" VALUES ({', '.join('?' * len(values))}, 0, ?)",
            (*values, now_us),
        )

    def rename(self, alert: str, replaced_by: str) -> bool:
        """Another alert takes its place, with all that was said and answered; whether there was one to rename."""
        if self.get(replaced_by) is not None:
            return False
        return bool(
            self._tables.write("UPDATE outbox_alert SET alert = ?, next_us = 0 WHERE alert = ?", (replaced_by, alert))
        )

    def look_again(self, alert: str, at_us: int | None) -> None:
        """When to look at it next."""
        self._tables.write("UPDATE outbox_alert SET next_us = ? WHERE alert = ?", (at_us, alert))

    def look_at_all(self) -> None:
        """Policies or contacts have changed."""
        self._tables.write(
            "UPDATE outbox_alert SET next_us = 0 WHERE ended = ''"
            " OR alert IN (SELECT alert FROM outbox WHERE state = 'pending')"
        )

    def put_back(self, now_us: int) -> None:
        """The clock was put back: what is dated ahead of it counts as of now, and a snooze lasts no longer than it was
        to. Else an alert would wait until the clock is again where it was."""
        self._tables.write(
            "UPDATE outbox_alert SET next_us = 0, from_us = min(from_us, ?1),"
            " acknowledged_us = iif(acknowledged_us > ?1, ?1, acknowledged_us) WHERE ended = ''",
            (now_us,),
        )
        self._tables.write(
            "UPDATE outbox_snooze SET until_us = until_us - at_us + ?1, at_us = ?1 WHERE at_us > ?1", (now_us,)
        )

    def due(self, now_us: int, limit: int) -> list[Paging]:
        """Alerts to look at now, the longest waiting first."""
        return self._select("next_us <= ? ORDER BY next_us, alert LIMIT ?", (now_us, limit))

    def next_us(self) -> int | None:
        """When the next is to be looked at."""
        next_us: int | None = self._tables.rows("SELECT min(next_us) FROM outbox_alert WHERE next_us IS NOT NULL")[0][0]
        return next_us

    def unanswered(self, limit: int) -> list[Unanswered]:
        """The newest alerts that nobody answered, at most `limit`."""
        rows = self._tables.rows(
            "SELECT alert, patient, rule, from_us FROM outbox_alert WHERE unanswered ORDER BY from_us DESC LIMIT ?",
            (limit,),
        )
        return [Unanswered(*row) for row in rows]

    def troubles(self, patients: Collection[str] | None) -> dict[str, Trouble]:
        """Alerts that were never acknowledged and that were dropped, or have a message that was given up."""
        rows = self._tables.rows(
            "SELECT alert, patient, iif(unanswered, 'unanswered', 'undeliverable') FROM outbox_alert"
            " WHERE acknowledged_us IS NULL AND ended <> 'retracted' AND (unanswered OR EXISTS"
            " (SELECT 1 FROM outbox WHERE outbox.alert = outbox_alert.alert AND state = 'undeliverable'))"
        )
        return {alert: trouble for alert, patient, trouble in rows if patients is None or patient in patients}

    def forget(self, changed_before_us: int) -> None:
        """Remove alerts that ended before that instant."""
        self._tables.write("DELETE FROM outbox_alert WHERE ended <> '' AND changed_us < ?", (changed_before_us,))
        self._tables.write("DELETE FROM outbox_snooze WHERE until_us < ?", (changed_before_us,))

    def erase(self, patient: str) -> None:
        """Forget a patient's alerts and snoozes, for good."""
        self._tables.write("INSERT OR IGNORE INTO outbox_passed_over VALUES (?)", (patient,))
        self._tables.write("DELETE FROM outbox_alert WHERE patient = ?", (patient,))
        self._tables.write("DELETE FROM outbox_snooze WHERE patient = ?", (patient,))

    def passes_over(self, patient: str) -> bool:
        """Whether the patient was erased."""
        return bool(self._tables.rows("SELECT 1 FROM outbox_passed_over WHERE patient = ?", (patient,)))

    # snoozes

    def snoozed_until_us(self, patient: str, rule: str) -> int:
        """Until when alerts of that rule page nobody; 0 where nobody asked for that."""
        rows = self._tables.rows("SELECT until_us FROM outbox_snooze WHERE patient = ? AND rule = ?", (patient, rule))
        return int(rows[0][0]) if rows else 0

    def snooze(self, snooze: Snooze) -> None:
        """Keep it, in place of an earlier one, and look at the patient's alerts of that rule."""
        self._tables.write("INSERT OR REPLACE INTO outbox_snooze VALUES (?, ?, ?, ?, ?)", tuple(snooze))
        self._tables.write(
            "UPDATE outbox_alert SET next_us = 0 WHERE patient = ? AND rule = ? AND ended = ''", snooze[:2]
        )

    def snoozes(self, now_us: int) -> list[Snooze]:
        """Those that last at that instant."""
        rows = self._tables.rows(
            "SELECT patient, rule, until_us, by, at_us FROM outbox_snooze WHERE until_us > ? ORDER BY until_us",
            (now_us,),
        )
        return [Snooze(*row) for row in rows]

    def _select(self, where: str, values: tuple[str | int, ...]) -> list[Paging]:
        rows = self._tables.rows(f"SELECT {_COLUMNS} FROM outbox_alert WHERE {where}", values)
        return [convert(dict(zip(_FIELDS, row, strict=True)), Paging, strict=False) for row in rows]
