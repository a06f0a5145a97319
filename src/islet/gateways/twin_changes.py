"""Changes of twins, written to the log for those who read what devices send."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from islet.decode.device_messages import MODULE, twin_change
from islet.decode.iothub_twins import JsonObject, ServiceTwin, Twin
from islet.errors import system_words
from islet.gateways.intake import Writer
from islet.log.base import Append, Commit
from islet.log.group_commit import Done
from islet.model.batch import DocumentRow, documents_batch
from islet.model.time import Now, iso
from islet.model.topics import Topic
from islet.store.devices_base import Address

_MOST_BYTES: Final = 64 * 1024 * 1024
_BYTES_PER_CHANGE: Final = 500  # what a row costs beside its body, about
_log = structlog.get_logger("islet.gateways.twin_changes")


class TwinChanges:
    """Each change is told once the twin is durable; a crash or a failed commit right then may lose the news of it, not
    the change. Where more than `most_bytes` wait for the log, the oldest are dropped.

    `patient_of` gives the patient a device belongs to now ("": nobody). `reported` and `wanted` may be called from the
    loop's thread only.
    """

    def __init__(
        self,
        writer: Writer,
        patient_of: Callable[[str], str],
        hub_name: str,
        wall_now: Now,
        *,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._patient_of, self._hub_name, self._wall_now = patient_of, hub_name, wall_now
        self._writer, self._most_bytes = writer, most_bytes
        self._told = self._failed = self._dropped = 0
        self._lock = threading.Lock()
        self._pending: deque[DocumentRow] = deque()
        self._bytes = 0
        self._is_flooded = False
        writer.add_source(self._drain)

    def counts(self) -> dict[str, int]:
        """What the metrics show."""
        return {"told": self._told, "failed": self._failed, "dropped": self._dropped}

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
        self._add(twin_change(of.device, self._patient_of(of.device), change, properties, now_us))
        self._writer.wake()

    def _add(self, row: DocumentRow) -> None:
        with self._lock:
            self._pending.append(row)
            self._bytes += _size(row)
            if self._bytes <= self._most_bytes:
                return
            is_first, self._is_flooded = not self._is_flooded, True
            while self._bytes > self._most_bytes:
                self._bytes -= _size(self._pending.popleft())
                self._dropped += 1
        if is_first:
            _log.error("changes_dropped", waiting=len(self._pending))

    def _drain(self, now_us: int) -> tuple[Commit, Done] | None:
        with self._lock:
            rows, self._bytes, self._is_flooded = [*self._pending], 0, False
            self._pending.clear()
        if not rows:
            return None
        append = Append(topic=Topic.DEVICE_MESSAGES, batch=documents_batch(rows))

        def done(error: Exception | None) -> None:
            if error is None:
                self._told += len(rows)
            else:
                self._failed += len(rows)
                _log.error("commit_failed", changes=len(rows), error=type(error).__name__, reason=system_words(error))

        return Commit(received_at_us=now_us, appends=[append]), done


def _size(row: DocumentRow) -> int:
    """Bytes in memory, about."""
    return _BYTES_PER_CHANGE + len(row.body)


def _versioned(patch: JsonObject, version: int) -> JsonObject:
    return {**patch, "$version": version}
