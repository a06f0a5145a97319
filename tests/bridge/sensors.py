"""A meter and a sensor as they answer over Bluetooth, without the radio: what is read, and what is sent when asked."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from islet.bridge.link import BATTERY_LEVEL, BATTERY_SERVICE
from islet.decode import ble_cgm, ble_glucose
from islet.decode.ble_cgm import CgmFeature, CgmMeasurement, CgmSensorStatus, CgmSessionStart, CgmStatus
from islet.decode.ble_control import (
    RECORDS,
    Operator,
    Outcome,
    RecordOp,
    RecordRequest,
    RecordResponse,
    decode_request,
)
from islet.decode.ble_glucose import GlucoseContext, GlucoseMeasurement
from tests.decode import ble_encoder

Sent = list[tuple[int, bytes]]
WELL = CgmStatus(0)
MIDNIGHT = datetime(2026, 11, 21)  # noqa: DTZ001 - a meter's clock


class Device(Protocol):
    """What a bridge can be connected to."""

    service: int
    readable: dict[int, Callable[[], bytes]]
    telling: tuple[int, ...]

    def written(self, characteristic: int, value: bytes) -> Sent: ...


def chosen(numbers: Sequence[int], request: RecordRequest) -> list[int]:
    match request.operator:
        case Operator.ALL:
            return list(numbers)
        case Operator.FROM:
            return [number for number in numbers if number >= request.bounds[0]]
        case _:
            raise AssertionError("the bridge asks nothing else")


class Meter:
    """`records` in the order in which they are sent. With `only_all`, it cannot choose among them."""

    service = ble_glucose.SERVICE
    telling: tuple[int, ...] = (ble_glucose.MEASUREMENT, ble_glucose.CONTEXT, RECORDS)

    def __init__(self, *, only_all: bool = False) -> None:
        self.records: list[tuple[GlucoseMeasurement, GlucoseContext | None]] = []
        self.readable: dict[int, Callable[[], bytes]] = {}
        self.damage: list[int] = []
        self._only_all = only_all

    def measure(self, value: str, *, carbs: str | None = None, minute: int | None = None) -> None:
        """One more record, `minute` minutes after midnight (five after the last), in mol/L."""
        sequence = self.records[-1][0].sequence + 1 if self.records else 0
        minute = 5 * sequence if minute is None else minute
        one = GlucoseMeasurement(
            sequence=sequence,
            local_time=MIDNIGHT + timedelta(minutes=minute),
            concentration=Decimal(value),
            unit="mol/L",
            sample=1,
            site=1,
            context_follows=carbs is not None,
        )
        context = None
        if carbs is not None:
            context = GlucoseContext(sequence=sequence, carbohydrate=1, carbohydrate_kg=Decimal(carbs))
        self.records.append((one, context))

    def written(self, characteristic: int, value: bytes) -> Sent:
        request = decode_request(value)
        if self._only_all and request.operator is not Operator.ALL:
            return [answered(Outcome.OPERATOR_NOT_SUPPORTED)]
        sent: Sent = []
        wanted = chosen([one.sequence for one, _ in self.records], request)
        for one, context in self.records:
            if one.sequence not in wanted:
                continue
            octets = ble_encoder.meter(one)
            if one.sequence in self.damage:
                self.damage.remove(one.sequence)
                octets = octets[:-1]
            sent.append((ble_glucose.MEASUREMENT, octets))
            if context is not None:
                sent.append((ble_glucose.CONTEXT, ble_encoder.context(context)))
        return [*sent, answered(Outcome.SUCCESS if wanted else Outcome.NO_RECORDS)]


class Sensor:
    """A sensor whose session began `session_start` (local time, `ahead` of UTC); measures every five minutes."""

    service = ble_cgm.SERVICE
    telling: tuple[int, ...] = (ble_cgm.MEASUREMENT, RECORDS)

    def __init__(
        self, session_start: datetime | None, *, ahead: timedelta | None = timedelta(0), has_crc: bool = True
    ) -> None:
        self.records: list[CgmMeasurement] = []
        self.start = CgmSessionStart(local_time=session_start, ahead=ahead)
        self.has_crc = has_crc
        self.status = CgmStatus(0)
        self.minute = 0
        self.damage: list[int] = []
        self.readable: dict[int, Callable[[], bytes]] = {
            ble_cgm.FEATURE: lambda: ble_encoder.feature(CgmFeature(flags=has_crc << 12, sample=9, site=5)),
            ble_cgm.STATUS: lambda: ble_encoder.status(
                CgmSensorStatus(offset_min=self.minute, status=self.status), has_crc=has_crc
            ),
            ble_cgm.SESSION_START: lambda: ble_encoder.session_start(self.start, has_crc=has_crc),
        }

    def measure(self, mg_dl: int, count: int = 1, *, status: CgmStatus = WELL) -> bytes:
        """More records; what a sensor that is followed would notify of the last."""
        for _ in range(count):
            self.minute += 5
            self.records.append(CgmMeasurement(offset_min=self.minute, glucose_mg_dl=Decimal(mg_dl), status=status))
        return ble_encoder.sensor(self.records[-1], has_crc=self.has_crc)

    def written(self, characteristic: int, value: bytes) -> Sent:
        if characteristic == ble_cgm.SESSION_START:
            now = ble_cgm.decode_session_start(value, has_crc=self.has_crc).utc
            assert now is not None
            self.start = CgmSessionStart(local_time=now - timedelta(minutes=self.minute), ahead=timedelta(0))
            return []
        wanted = chosen([one.offset_min for one in self.records], decode_request(value))
        sent: Sent = []
        for one in self.records:
            if one.offset_min in wanted:
                octets = bytearray(ble_encoder.sensor(one, has_crc=self.has_crc))
                if one.offset_min in self.damage:
                    self.damage.remove(one.offset_min)
                    octets[3] ^= 1
                sent.append((ble_cgm.MEASUREMENT, bytes(octets)))
        return [*sent, answered(Outcome.SUCCESS if wanted else Outcome.NO_RECORDS)]


class WithBattery:
    """Services beside the first."""

    service = BATTERY_SERVICE

    def __init__(self, percent: int) -> None:
        self.readable: dict[int, Callable[[], bytes]] = {BATTERY_LEVEL: lambda: bytes([percent])}
        self.telling: tuple[int, ...] = ()

    def written(self, characteristic: int, value: bytes) -> Sent:
        raise AssertionError("nothing of it can be written")


def answered(outcome: Outcome) -> tuple[int, bytes]:
    return RECORDS, ble_encoder.answer(RecordResponse(op=RecordOp.REPORT, outcome=outcome))
