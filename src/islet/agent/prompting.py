"""Asking the patient to measure, and what came of it: prompted, measured or missed, each an event for the platform."""

from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from islet.agent.disk import Disk, QueueFull
from islet.agent.queue import Queue
from islet.agent.schedule import Prompts, due_between
from islet.model.events import Prompt, Reading
from islet.model.time import DAY_US, MINUTE_US, from_us, to_us

JUST_BEFORE_US: Final = 15 * MINUTE_US
"""Who measured this shortly before a prompt is not asked again."""

_KEPT_US: Final = 30 * DAY_US
_LOOKED_BACK_US: Final = DAY_US  # far longer than anything can be answered
_LOOKED: Final = "prompts_looked_us"
_NEWEST: Final = "newest_reading_us"
_OPEN: Final = (
    "SELECT id, due_us, until_us FROM prompt WHERE state IN ('prompted', 'missed') AND due_us <= ? AND until_us >= ?"
)


class Asked(Struct, frozen=True):
    """A prompt to show to the patient."""

    id: str
    text: str


class Prompting:
    """Keeps prompts on the disk and puts what becomes of them into the queue, both at once."""

    def __init__(self, disk: Disk, queue: Queue, now_us: int) -> None:
        """Schedules are looked at from here on, or from where an earlier run ended."""
        self._disk, self._queue = disk, queue
        self._shown = set[str]()
        if disk.kept(_LOOKED) is None:
            self._keep(_LOOKED, now_us)

    def look(self, prompts: Prompts, now_us: int) -> None:
        """Ask what has become due since the last look; say what was missed.

        What became due while the device was off, and cannot be answered any more, was never asked and is not said.
        Raises QueueFull; then nothing has changed, and the next look does it.
        """
        since_us = max(self._kept(_LOOKED), now_us - _LOOKED_BACK_US)
        if now_us < since_us:  # the clock was set back; what was asked has an id, and is not asked again
            self._keep(_LOOKED, now_us)
            return
        over = self._disk.connection.execute(
            "SELECT id, until_us FROM prompt WHERE state = 'prompted' AND until_us < ?", (now_us,)
        ).fetchall()
        due = due_between(prompts, since_us, now_us) if prompts.times else []
        if not due and not over:
            if now_us - since_us > MINUTE_US:
                self._keep(_LOOKED, now_us)
            return
        with self._disk.together():
            for id, until_us in over:
                self._becomes(id, "missed", until_us)
            for one in due:
                if now_us <= one.at_us + prompts.answer_us:
                    self._ask(one.id, prompts.text, one.at_us, one.at_us + prompts.answer_us, now_us)
            self._disk.connection.execute("DELETE FROM prompt WHERE until_us < ?", (now_us - _KEPT_US,))
            self._keep(_LOOKED, now_us)

    def ask(self, id: str, text: str, answer_us: int, now_us: int) -> None:
        """Ask now, whatever the schedule says."""
        with self._disk.together():
            self._ask(id, text, now_us, now_us + answer_us, now_us)

    def measured(self, readings: list[Reading], answered_by: str, now_us: int) -> None:
        """Take note of readings: the prompt that waits longest is answered. One that comes late, but was measured in
        time, still answers a prompt that was thought missed.

        One that is dated far ahead, by a clock that is wrong or was, does not hide those that come after it.
        """
        until_us = now_us + JUST_BEFORE_US
        for reading in readings:
            if answered_by == "capillary" and reading.method != "capillary":
                continue
            time_us = to_us(reading.time)
            newest_us = self._kept(_NEWEST)
            if time_us <= until_us and (time_us > newest_us or newest_us > until_us):
                self._keep(_NEWEST, time_us)
            found = self._disk.connection.execute(f"{_OPEN} ORDER BY due_us LIMIT 1", (time_us, time_us)).fetchone()
            if found is not None:
                self._becomes(found[0], "measured", time_us)

    def to_show(self) -> list[Asked]:
        """The prompts that nobody has shown to the patient yet and that can still be answered."""
        rows = self._disk.connection.execute("SELECT id, text FROM prompt WHERE state = 'prompted' AND NOT shown")
        return [Asked(*row) for row in rows.fetchall() if row[0] not in self._shown]

    def shown(self, id: str) -> None:
        """It is not shown again; where the disk is full, not by this run."""
        self._shown.add(id)
        with suppress(QueueFull), self._disk.together():
            self._disk.connection.execute("UPDATE prompt SET shown = 1 WHERE id = ?", (id,))

    def _ask(self, id: str, text: str, due_us: int, until_us: int, now_us: int) -> None:
        row = (id, due_us, until_us, "prompted", text)
        statement = "INSERT OR IGNORE INTO prompt (id, due_us, until_us, state, text) VALUES (?, ?, ?, ?, ?)"
        if not self._disk.connection.execute(statement, row).rowcount:
            return
        newest_us = self._kept(_NEWEST)
        if due_us - JUST_BEFORE_US <= newest_us <= until_us:
            self._becomes(id, "measured", max(newest_us, due_us))
        else:
            self._say(id, "prompted", now_us)

    def _becomes(self, id: str, state: str, at_us: int) -> None:
        self._disk.connection.execute("UPDATE prompt SET state = ? WHERE id = ?", (state, id))
        self._say(id, state, at_us)

    def _say(self, id: str, state: str, at_us: int) -> None:
        event = msgspec.convert({"type": "prompt", "time": from_us(at_us), "id": id, "state": state}, Prompt)
        self._queue.put([msgspec.json.encode(event)], own=True)

    def _kept(self, name: str) -> int:
        return int(self._disk.kept(name) or 0)

    def _keep(self, name: str, value_us: int) -> None:
        self._disk.keep(name, str(value_us).encode())
