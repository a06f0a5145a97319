"""A blood glucose meter (Glucose Profile 1.0.1): asks for the records that were not handed on yet, and hands them on."""

from collections import Counter
from datetime import tzinfo
from typing import Final

import structlog

from islet.bridge.forward import Sender, forward
from islet.bridge.link import Link, LinkLost
from islet.bridge.place import MeterPlace, Places
from islet.bridge.records import NOT_SUPPORTED, QUIET_S, Records
from islet.decode.ble_control import Operator, Outcome
from islet.decode.ble_events import meter_events
from islet.decode.ble_glucose import (
    CONTEXT,
    MEASUREMENT,
    GlucoseContext,
    GlucoseMeasurement,
    decode_context,
    decode_measurement,
)
from islet.errors import ProtocolError

_LAST_SEQUENCE: Final = 0xFFFF  # then it may begin anew
_TOGETHER: Final = 64  # records after which the place is kept
_ATTEMPTS: Final = 2

_log = structlog.get_logger("islet.bridge")


class Meter:
    """One connection's work. `zone` is where the meter's clock is set for."""

    def __init__(self, link: Link, sender: Sender, places: Places, zone: tzinfo, quiet_s: float = QUIET_S) -> None:
        self._link, self._sender, self._places, self._zone = link, sender, places, zone
        self._records = Records(link, quiet_s)
        self._measurements: dict[int, GlucoseMeasurement] = {}
        self._contexts: dict[int, GlucoseContext] = {}
        self._unreadable = 0
        self._ascending = True

    async def read(self) -> int:
        """Hand on what is new; how many records were. Raises LinkLost, and ProtocolError for answers that are none.

        When the meter goes meanwhile, what came before is handed on.
        """
        await self._link.subscribe(MEASUREMENT, self._take_measurement)
        if CONTEXT in self._link.characteristics:
            await self._link.subscribe(CONTEXT, self._take_context)
        await self._records.begin()
        measurements, contexts = dict[int, GlucoseMeasurement](), dict[int, GlucoseContext]()
        for attempt in range(_ATTEMPTS):
            try:
                await self._fetch()
            except LinkLost:
                await self._hand_on(self._complete())
                raise
            measurements |= self._measurements  # what is damaged the second time may have come whole the first time
            contexts |= self._contexts
            if not self._unreadable:
                break
            _log.warning("records_unreadable", count=self._unreadable, again=attempt + 1 < _ATTEMPTS)
        self._measurements, self._contexts = measurements, contexts
        return await self._hand_on(self._new())

    async def _fetch(self) -> None:
        """Records from the newest that is known on, so that it is seen whether the meter still has that one; all of
        them when it has not, or cannot choose."""
        place = self._places.meter
        outcome = None
        if 0 <= place.sequence < _LAST_SEQUENCE:
            outcome = await self._report(Operator.FROM, place.sequence)
            if outcome is Outcome.SUCCESS and self._is_still_there(place):
                return
            if outcome not in (Outcome.SUCCESS, Outcome.NO_RECORDS, *NOT_SUPPORTED):
                raise ProtocolError(f"record answer: expected success; got {outcome.name}")
        outcome = await self._report(Operator.ALL)
        if outcome not in (Outcome.SUCCESS, Outcome.NO_RECORDS):
            raise ProtocolError(f"record answer: expected success; got {outcome.name}")

    async def _report(self, operator: Operator, *bounds: int) -> Outcome:
        self._measurements, self._contexts, self._unreadable, self._ascending = {}, {}, 0, True
        return await self._records.report(operator, *bounds)

    def _take_measurement(self, octets: bytes) -> None:
        self._records.heard()
        try:
            one = decode_measurement(octets)
        except ProtocolError:
            self._unreadable += 1
            return
        if self._measurements and one.sequence <= next(reversed(self._measurements)):
            self._ascending = False
        self._measurements[one.sequence] = one

    def _take_context(self, octets: bytes) -> None:
        self._records.heard()
        try:
            one = decode_context(octets)
        except ProtocolError:
            self._unreadable += 1
            return
        self._contexts[one.sequence] = one

    def _is_still_there(self, place: MeterPlace) -> bool:
        found = self._measurements.get(place.sequence)
        return found is not None and found.local_time == place.local_time

    def _new(self) -> list[GlucoseMeasurement]:
        place = self._places.meter
        known = place.sequence if self._is_still_there(place) else -1
        return [one for sequence, one in sorted(self._measurements.items()) if sequence > known]

    def _complete(self) -> list[GlucoseMeasurement]:
        """Of records that were cut off: those before the last one, whose context may be missing."""
        return self._new()[:-1] if self._ascending and not self._unreadable else []

    async def _hand_on(self, records: list[GlucoseMeasurement]) -> int:
        left_out: Counter[str] = Counter()
        for begin in range(0, len(records), _TOGETHER):
            together = records[begin : begin + _TOGETHER]
            told = [meter_events(one, self._contexts.get(one.sequence), self._zone) for one in together]
            left_out.update(one.left_out for one in told if one.left_out)
            await forward(self._sender, [event for one in told for event in one.events])
            self._places.keep_meter(MeterPlace(sequence=together[-1].sequence, local_time=together[-1].local_time))
        for reason, count in left_out.items():
            _log.info("no_reading", reason=reason, count=count)
        return len(records)
