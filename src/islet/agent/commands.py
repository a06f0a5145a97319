"""What services ask of a device, done exactly once for each id, across crashes and repeated deliveries.

A command is written down before it is acknowledged. One that changes what is on the disk (a prompt, the sampling
interval, thresholds, the schedule) is done in the same transaction in which it is marked as done. One that acts on the
world (locate: the device buzzes) is marked as started before; if the device dies meanwhile nobody knows how far it
came, so it is not begun again, and its state is `interrupted`.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from islet.agent.disk import Disk, QueueFull
from islet.decode.iothub_twins import Json, JsonObject, parse_object
from islet.errors import BadInput
from islet.model.time import DAY_US, Now, iso

State = Literal["taken", "started", "done", "refused", "interrupted"]
NAMES: Final = ("prompt", "setInterval", "setThresholds", "setSchedule", "locate")
LOCATE: Final = "locate"
_KEPT_US: Final = 30 * DAY_US  # far longer than a command lives at the platform (two days)
_SHOWN: Final = 10


class Told(Struct, frozen=True):
    """A command that was taken, in the order of arrival; `reason` says why it was refused."""

    id: str
    name: str
    state: str
    reason: str
    changed_us: int


class Commands:
    """`act` does what a command changes on the disk; it is called inside a transaction and raises BadInput for what it
    cannot do. `changes` grows whenever there is something new to say of a command."""

    def __init__(self, disk: Disk, act: Callable[[str, str, JsonObject], None], now: Now) -> None:
        self._disk, self._act, self._now = disk, act, now
        self.changes = 0
        with suppress(QueueFull):  # the next start says so
            self._mark("interrupted", "the device stopped meanwhile", "state = 'started'")

    def take(self, id: str, name: str, body: bytes) -> bool:
        """Write a command down, durably; False when that id was taken before."""
        statement = "INSERT OR IGNORE INTO command (id, name, body, state, changed_us) VALUES (?, ?, ?, 'taken', ?)"
        with self._disk.together():
            self._disk.connection.execute("DELETE FROM command WHERE changed_us < ?", (self._now() - _KEPT_US,))
            return self._disk.connection.execute(statement, (id, name, body, self._now())).rowcount > 0

    def work(self) -> list[Told]:
        """Do what waits; those that act on the world are only marked as started, and given back to be done now."""
        rows = self._disk.connection.execute(
            "SELECT id, name, body FROM command WHERE state = 'taken' ORDER BY number"
        ).fetchall()
        started = []
        with suppress(QueueFull):  # the next look does the rest
            for id, name, body in rows:
                if name == LOCATE:
                    self._set(id, "started")
                    started.append(self.told(id))
                else:
                    self._do(id, name, body)
        return started

    def ended(self, id: str, *, failed: str = "") -> None:
        """What was started has been done, or could not be. On a full disk it stays `started`."""
        with suppress(QueueFull):
            self._set(id, "refused" if failed else "done", failed)

    def told(self, id: str) -> Told:
        """What became of a command. Raises KeyError."""
        row = self._disk.connection.execute(f"{_TOLD} WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise KeyError(id)
        return Told(*row)

    def newest(self) -> list[JsonObject]:
        """The last ones and what became of them, for the twin; the oldest first."""
        rows = self._disk.connection.execute(f"{_TOLD} ORDER BY number DESC LIMIT ?", (_SHOWN,)).fetchall()
        return [command_json(Told(*row)) for row in reversed(rows)]

    def _do(self, id: str, name: str, body: bytes) -> None:
        try:
            with self._disk.together():
                self._act(id, name, parse_object(body or b"{}"))
                self._set(id, "done")
        except BadInput as error:
            self._set(id, "refused", str(error))

    def _set(self, id: str, state: State, reason: str = "") -> None:
        with self._disk.together():
            self._disk.connection.execute(
                "UPDATE command SET state = ?, reason = ?, changed_us = ? WHERE id = ?",
                (state, reason, self._now(), id),
            )
        self.changes += 1

    def _mark(self, state: State, reason: str, where: str) -> None:
        with self._disk.together():
            self._disk.connection.execute(
                f"UPDATE command SET state = ?, reason = ?, changed_us = ? WHERE {where}", (state, reason, self._now())
            )


_TOLD: Final = "SELECT id, name, state, reason, changed_us FROM command"


def command_json(told: Told) -> JsonObject:
    """What a service is told of a command."""
    said: JsonObject = {"id": told.id, "command": told.name, "state": told.state, "at": iso(told.changed_us)}
    return said | ({"reason": told.reason} if told.reason else {})


def read_command(body: bytes, message_id: str) -> tuple[str, str, bytes]:
    """Id, name and body of a command that came as a message: `{"command": "prompt", …}`. The id is the message's, or
    else the one in the body; "" where there is none. Raises BadInput."""
    parsed = parse_object(body)
    name, id = parsed.pop("command", None), parsed.pop("id", "")
    if not isinstance(name, str) or not isinstance(id, str):
        raise BadInput(f"command: expected one of {', '.join(NAMES)}", reason="command")
    return message_id or id, name, msgspec.json.encode(parsed)


def argument(body: JsonObject, name: str, kind: Any, usual: Any) -> Any:
    """One argument of a command. Raises BadInput for another type."""
    value: Json = body.get(name)
    if value is None:
        return usual
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"{name}: {error}", reason="command") from None
