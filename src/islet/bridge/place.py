"""How far a sensor's records have been handed on, in a file, so that a bridge goes on there after any end.

A place moves only after the front door has acknowledged what lies before it: after a crash some events are sent again,
which is harmless, and none is missing.
"""

import os
import re
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from islet.errors import IsletError


class MeterPlace(Struct, frozen=True, kw_only=True):
    """The newest record that was handed on; its time tells whether it is still the same record."""

    sequence: int = -1
    local_time: datetime | None = None


class SensorPlace(Struct, frozen=True, kw_only=True):
    """The session: when it began (in our words, and in the sensor's octets), and the newest record of it that was
    handed on; the status that was told last."""

    session_start: datetime | None = None
    stated: bytes = b""
    offset_min: int = -1
    status: str = ""


class _Kept(Struct, frozen=True, kw_only=True):
    meter: MeterPlace = MeterPlace()
    sensor: SensorPlace = SensorPlace()


class Places:
    """The place at one sensor, kept in `directory`, which is made if it is not there."""

    def __init__(self, directory: Path, address: str) -> None:
        """Raises IsletError when the file is there and cannot be understood: what was in it decides what is sent."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = directory / f"{re.sub('[^0-9A-Za-z]', '-', address)}.json"
        try:
            self._kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            self._kept = _Kept()
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise IsletError(
                f"{self._path}: expected what a bridge wrote; remove the file, and all records are sent again"
            ) from None

    @property
    def meter(self) -> MeterPlace:
        return self._kept.meter

    @property
    def sensor(self) -> SensorPlace:
        return self._kept.sensor

    def keep_meter(self, place: MeterPlace) -> None:
        """Durable on return."""
        self._keep(msgspec.structs.replace(self._kept, meter=place))

    def keep_sensor(self, place: SensorPlace) -> None:
        """Durable on return."""
        self._keep(msgspec.structs.replace(self._kept, sensor=place))

    def _keep(self, kept: _Kept) -> None:
        beside = self._path.with_suffix(".new")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._kept = kept
