"""Changes of twins, written to the log for those who read what devices send."""

from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from islet.decode.device_messages import MODULE, twin_change
from islet.decode.iothub_twins import JsonObject, ServiceTwin, Twin
from islet.gateways.intake import Writer
from islet.log.base import Append, Commit
from islet.model.batch import DocumentRow, documents_batch
from islet.model.time import Now, iso
from islet.model.topics import Topic
from islet.store.devices_base import Address

_MOST_WAITING: Final = 100_000
_log = structlog.get_logger("islet.gateways.twin_changes")


class TwinChanges:
    """Each change is told once the twin is durable; a crash or a failed commit right then may lose the news of it, not
    the change.

    `patient_of` gives the patient a device belongs to now ("": nobody). `reported` and `wanted` may be called from the
    loop's thread only.
    """

    def __init__(self, writer: Writer, patient_of: Callable[[str], str], hub_name: str, wall_now: Now) -> None:
        self._patient_of, self._hub_name, self._wall_now = patient_of, hub_name, wall_now
        self._writer = writer
        self._pending: deque[DocumentRow] = deque(maxlen=_MOST_WAITING)
        writer.add_source(self._drain)

    def reported(self, of: Address, patch: JsonObject, twin: Twin) -> None:
        """A device has reported."""
        self._tell(of, {"version": twin.version, "properties": {"reported": _versioned(patch, twin.reported.version)}})

    def wanted(self, of: Address, wanted: ServiceTwin, twin: Twin) -> None:
        """A service has changed tags or desired properties."""
        change: JsonObject = {"version": twin.version}
        if wanted.tags is not None:
            change["tags"] = wanted.tags
        if wanted.desired is not None:
            change["properties"] = {"desired": _versioned(wanted.desired, twin.desired.version)}
        self._tell(of, change)

    def _tell(self, of: Address, change: JsonObject) -> None:
        now_us = self._wall_now()
        properties = {"hubName": self._hub_name, "deviceId": of.device, "operationTimestamp": iso(now_us)}
        if of.module:
            properties |= {"moduleId": of.module, MODULE: of.module}
        self._pending.append(twin_change(of.device, self._patient_of(of.device), change, properties, now_us))
        self._writer.wake()

    def _drain(self, now_us: int) -> tuple[Commit, Callable[[Exception | None], None]] | None:
        rows = [self._pending.popleft() for _ in range(len(self._pending))]
        if not rows:
            return None
        append = Append(topic=Topic.DEVICE_MESSAGES, batch=documents_batch(rows))

        def done(error: Exception | None) -> None:
            if error is not None:
                _log.error("commit_failed", changes=len(rows), error=type(error).__name__)

        return Commit(received_at_us=now_us, appends=[append]), done


def _versioned(patch: JsonObject, version: int) -> JsonObject:
    return {**patch, "$version": version}
