"""A continuous glucose sensor (CGM Profile 1.0.2): hands on what it has stored, then follows it while it is there."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from msgspec import structs

from islet.bridge.forward import Sender, forward
from islet.bridge.link import BATTERY_LEVEL, Link, LinkLost
from islet.bridge.place import Places, SensorPlace
from islet.bridge.records import NOT_SUPPORTED, QUIET_S, Records
from islet.decode.ble_cgm import (
    FEATURE,
    MEASUREMENT,
    SESSION_START,
    STATUS,
    CgmMeasurement,
    CgmSensorStatus,
    CgmStatus,
    decode_feature,
    decode_measurements,
    decode_session_start,
    decode_status,
    encode_session_start,
)
from islet.decode.ble_control import Operator, Outcome
from islet.decode.ble_events import sensor_events, sensor_status, utc
from islet.errors import ProtocolError
from islet.model.events import DeviceStatus
from islet.model.time import Now, from_us

_SAME: Final = timedelta(minutes=10)
"""How far a sensor's clock may be off: less than what summer time or a wrong zone make of it."""
_ASK_S: Final = 330.0  # sensors measure every five minutes or more often
_TOGETHER: Final = 64  # records after which the place is kept
_ATTEMPTS: Final = 2

_log = structlog.get_logger("islet.bridge")


class Sensor:
    """One connection's work. `now` is the wall's clock, by which a sensor's clock is checked (and set, if it has none).

    Where nothing was heard for `ask_s`, the sensor is asked: some do not tell by themselves.
    """

    def __init__(
        self, link: Link, sender: Sender, places: Places, now: Now, *, quiet_s: float = QUIET_S, ask_s: float = _ASK_S
    ) -> None:
        self._link, self._sender, self._places, self._now, self._ask_s = link, sender, places, now, ask_s
        self._records = Records(link, quiet_s)
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()
        self._has_crc = False
        self._unreadable = 0

    async def read(self) -> int:
        """Hand on what is stored and not handed on yet; how many records that were. Raises LinkLost, and ProtocolError
        for what cannot be understood."""
        self._has_crc = decode_feature(await self._link.read(FEATURE)).has_crc
        state = await self._state()
        start = await self._session_start(state)
        if start is None:
            await self._tell(state.status, from_us(self._now()))
            _log.warning("session_without_time")
            return 0
        await self._link.subscribe(MEASUREMENT, self._take)
        await self._records.begin()
        await self._tell(state.status, start + timedelta(minutes=state.offset_min))
        return await self._catch_up(state.offset_min)

    async def follow(self) -> None:
        """After `read`: hand on what comes, until the sensor has gone. Raises LinkLost when it goes while it is asked.

        A record that is not later than those before it may be of another session: then the sensor is asked which it is.
        """
        if self._places.sensor.session_start is None:
            return
        lost = asyncio.create_task(self._link.lost())
        try:
            while True:
                heard = asyncio.create_task(self._heard.get())
                await asyncio.wait((heard, lost), timeout=self._ask_s, return_when=asyncio.FIRST_COMPLETED)
                if heard.done() and (records := self._decoded([heard.result()])) and await self._hand_on(records):
                    continue
                heard.cancel()
                if lost.done():
                    return
                state = await self._state()
                if await self._session_start(state) is not None:
                    await self._catch_up(state.offset_min)
                await self._tell(state.status, from_us(self._now()))
        finally:
            lost.cancel()

    async def _state(self) -> CgmSensorStatus:
        return decode_status(await self._link.read(STATUS), has_crc=self._has_crc)

    async def _session_start(self, state: CgmSensorStatus) -> datetime | None:
        """When the session began, which is kept; None when that cannot be known. A session keeps the time that it was
        given at first, and so do its readings.

        A sensor that has no time is given it. One whose clock is wrong, or whose zone is not told, is dated by how long
        its session lasts already; it is given no other time, because another collector may rely on its own.
        """
        place, stopped = self._places.sensor, bool(state.status & CgmStatus.SESSION_STOPPED)
        now, lasts = from_us(self._now()), timedelta(minutes=state.offset_min)
        octets = await self._link.read(SESSION_START)
        stated = decode_session_start(octets, has_crc=self._has_crc)
        if stated.local_time is None and not stopped:
            time = now.replace(tzinfo=None, microsecond=0)
            await self._link.write(SESSION_START, encode_session_start(time, has_crc=self._has_crc))
            octets = await self._link.read(SESSION_START)
            stated = decode_session_start(octets, has_crc=self._has_crc)
        if octets == place.stated and stated.local_time is not None:
            return place.session_start
        start = None if stated.utc is None else utc(stated.utc)
        if not stopped and (start is None or abs(start + lasts - now) > _SAME):
            _log.warning("sensor_clock_is_wrong")
            start = now.replace(second=0, microsecond=0) - lasts
        if start is None:
            return None
        if place.session_start is not None and abs(start - place.session_start) <= _SAME:
            start = place.session_start  # its clock was set
            self._places.keep_sensor(structs.replace(place, stated=octets))
        else:
            self._places.keep_sensor(SensorPlace(session_start=start, stated=octets, status=place.status))
        return start

    def _take(self, octets: bytes) -> None:
        self._records.heard()
        self._heard.put_nowait(octets)

    async def _catch_up(self, until_min: int) -> int:
        """Hand on the records after the place; what is measured meanwhile too.

        When the sensor goes while it reports, those up to `until_min` are handed on, which lie before what is measured
        now; it sends them from the oldest on.
        """
        place = self._places.sensor
        first = place.offset_min + 1
        records = list[CgmMeasurement]()
        for attempt in range(_ATTEMPTS):
            self._unreadable = 0
            try:
                outcome = await self._records.report(*((Operator.FROM, first) if first else (Operator.ALL,)))
                if outcome in NOT_SUPPORTED:
                    outcome = await self._records.report(Operator.ALL)
            except LinkLost:
                await self._hand_on(self._unbroken(until_min))
                raise
            if outcome not in (Outcome.SUCCESS, Outcome.NO_RECORDS):
                raise ProtocolError(f"record answer: expected success; got {outcome.name}")
            records += self._decoded(self._waiting())  # one may be damaged this time that was whole the last time
            if not self._unreadable or attempt + 1 == _ATTEMPTS:
                break
            _log.warning("records_unreadable", count=self._unreadable)
        ordered = sorted({one.offset_min: one for one in records}.items())
        return await self._hand_on([one for _, one in ordered])

    def _unbroken(self, until_min: int) -> list[CgmMeasurement]:
        records = [one for one in self._decoded(self._waiting()) if one.offset_min <= until_min]
        offsets = [one.offset_min for one in records]
        return records if offsets == sorted(offsets) and not self._unreadable else []

    def _waiting(self) -> list[bytes]:
        return [self._heard.get_nowait() for _ in range(self._heard.qsize())]

    def _decoded(self, notifications: Sequence[bytes]) -> list[CgmMeasurement]:
        found = list[CgmMeasurement]()
        for octets in notifications:
            try:
                found += decode_measurements(octets, has_crc=self._has_crc)
            except ProtocolError:
                self._unreadable += 1
        return found

    async def _hand_on(self, records: Sequence[CgmMeasurement]) -> int:
        """Those after the place, in their order; each once."""
        start = self._places.sensor.session_start
        assert start is not None
        new = [one for one in records if one.offset_min > self._places.sensor.offset_min]
        for begin in range(0, len(new), _TOGETHER):
            together = new[begin : begin + _TOGETHER]
            told = [sensor_events(one, start) for one in together]
            await forward(self._sender, [event for one in told for event in one.events])
            newest = together[-1].offset_min
            self._places.keep_sensor(structs.replace(self._places.sensor, offset_min=newest))
            left_out = [one.left_out for one in told if one.left_out]
            if left_out:
                _log.info("no_reading", reason=left_out[-1], count=len(left_out))
        if new:
            await self._tell(new[-1].status, start + timedelta(minutes=new[-1].offset_min))
        return len(new)

    async def _tell(self, status: CgmStatus, time: datetime) -> None:
        """A device status, where it is another than the last."""
        told = sensor_status(status)
        if told == self._places.sensor.status:
            return
        battery_percent = None
        if BATTERY_LEVEL in self._link.characteristics:
            battery_percent = float(min((await self._link.read(BATTERY_LEVEL) or b"\0")[0], 100))
        await forward(self._sender, [DeviceStatus(time=time, status=told, battery_percent=battery_percent)])
        self._places.keep_sensor(structs.replace(self._places.sensor, status=told))
