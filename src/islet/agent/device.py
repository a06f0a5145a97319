"""A device that keeps what it measures until the platform has it, and does what it is asked to, once."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import structs

from islet.agent.commands import NAMES, Commands, Told, argument
from islet.agent.configuration import Applied, Configuration, applied, reported, with_part
from islet.agent.disk import Disk, QueueFull
from islet.agent.intake import private_event
from islet.agent.privacy import Privacy
from islet.agent.prompting import Prompting
from islet.agent.queue import MOST_EVENTS, Queue
from islet.decode.iothub_twins import JsonObject
from islet.errors import BadInput
from islet.model.events import AnyEvent, Reading
from islet.model.time import MINUTE_US, Now

_APPLIED: Final = "applied"
_UNITS: Final = {"mg/dL": 1.0, "mmol/L": 18.0156}  # as IFCC and the Bluetooth glucose service
Refusal = str
"""Why a line was not taken; "" when it is on the disk."""


class Device:
    """Everything but the connection. Methods are quick, belong to one thread and are durable when they return.

    `changed` is called when there is something new to report, to show or to do.
    """

    def __init__(
        self,
        folder: Path,
        now: Now,
        privacy: Privacy,
        *,
        most_events: int = MOST_EVENTS,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Open what is kept in `folder`, made where there is none."""
        self.disk = Disk(folder / "agent.db")
        self.queue = Queue(self.disk, most_events=most_events)
        self.prompting = Prompting(self.disk, self.queue, now())
        self.commands = Commands(self.disk, self._act, now)
        self.warnings: list[JsonObject] = []
        self.changed = changed
        self.now = now
        self._privacy = privacy
        kept = self.disk.kept(_APPLIED)
        self.applied = Applied() if kept is None else msgspec.json.decode(kept, type=Applied)

    @property
    def configuration(self) -> Configuration:
        return self.applied.configuration

    # --- upward ---

    def take(self, lines: Sequence[bytes], mark: str = "") -> list[Refusal]:
        """Take events (JSON), each as it can be taken; with `mark` once only: a second time they are there already.

        Raises QueueFull when the good ones do not all fit; then none is taken.
        """
        refusals, events = list[Refusal](), list[AnyEvent]()
        for line in lines:
            try:
                events.append(private_event(line, self._privacy))
                refusals.append("")
            except BadInput as error:
                refusals.append(str(error))
        if mark and self.disk.kept(f"taken/{mark}") is not None:
            return refusals
        readings = [event for event in events if isinstance(event, Reading)]
        with self.disk.together():
            self.queue.put([msgspec.json.encode(event) for event in events])
            self.prompting.measured(readings, self.configuration.prompts.answered_by, self.now())
            if mark:
                self.disk.keep(f"taken/{mark}", b"")
        self._warn(readings)
        return refusals

    def _warn(self, readings: Sequence[Reading]) -> None:
        """What the device itself says of a value, also when nobody can be reached."""
        limits = self.configuration.thresholds
        for reading in readings:
            mg_dl = reading.value * _UNITS.get(reading.unit, float("nan"))
            low = limits.low_mg_dl is not None and mg_dl < limits.low_mg_dl
            high = limits.high_mg_dl is not None and mg_dl > limits.high_mg_dl
            if low or high:
                self.warnings.append({"level": "low" if low else "high", "value": reading.value, "unit": reading.unit})
        if self.warnings:
            self.changed()

    # --- downward ---

    def desired(self, desired: JsonObject) -> JsonObject:
        """Apply a twin's desired properties; what to report."""
        after = applied(self.applied, desired)
        if after is not self.applied:
            self._apply(after)
        return {**reported(self.applied), "commands": list(self.commands.newest())}

    def command(self, id: str, name: str, body: bytes) -> None:
        """Take a command; a repeated delivery changes nothing. One that cannot be done is refused when its turn comes."""
        if self.commands.take(id, name, body):
            self.changed()

    def work(self) -> list[Told]:
        """Do what waits and look at the schedule; the commands that are to be done outside, now."""
        started = self.commands.work()
        with contextlib.suppress(QueueFull):  # the next look does it
            self.prompting.look(self.configuration.prompts, self.now())
        return started

    def _act(self, id: str, name: str, body: JsonObject) -> None:
        """What a command changes here."""
        if name == "prompt":
            prompts = self.configuration.prompts
            answer_min = argument(body, "answerMin", int, prompts.answer_min)
            text = argument(body, "text", str, prompts.text)
            if not 1 <= answer_min <= 240 or len(text) > 200:
                raise BadInput("prompt: expected answerMin from 1 to 240, a text of at most 200", reason="command")
            short = hashlib.blake2b(id.encode(), digest_size=12).hexdigest()
            self.prompting.ask(f"command-{short}", text, answer_min * MINUTE_US, self.now())
        elif name == "setInterval":
            self._set("intervalMin", body.get("minutes"))
        elif name == "setThresholds":
            self._set("thresholds", body)
        elif name == "setSchedule":
            self._set("prompts", body)
        else:
            raise BadInput(f"command: expected one of {', '.join(NAMES)}", reason="command")

    def _set(self, part: str, value: object) -> None:
        if value is None:
            raise BadInput(f"{part}: expected a value", reason="command")
        changed = with_part(self.configuration, part, value)  # type: ignore[arg-type]
        self._apply(structs.replace(self.applied, configuration=changed))

    def _apply(self, after: Applied) -> None:
        before, self.applied = self.applied, after
        try:
            self.disk.keep(_APPLIED, msgspec.json.encode(after))
        except BaseException:
            self.applied = before
            raise

    def close(self) -> None:
        self.queue.forget_done()
        self.disk.close()
