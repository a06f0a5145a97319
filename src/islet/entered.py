"""What a person enters by hand, as rows for the log, through the decoder that devices have."""

from datetime import UTC, date, datetime, time

from islet.decode.telemetry import Arrival, decode_arrivals
from islet.errors import BadInput
from islet.log.base import Append
from islet.model.codec import encode_event
from islet.model.events import Hba1c
from islet.model.people import Patient
from islet.model.time import from_us
from islet.model.time_zones import zone_or_utc
from islet.model.units import hba1c_percent


def hba1c(patient: Patient, value: float, unit: str, drawn: date, now_us: int) -> list[Append]:
    """A laboratory's HbA1c of blood drawn on a day of the patient's clock. Its instant is that day's noon, or the present
    before it. Raises BadInput for a value that cannot be, another unit, and a day to come."""
    hba1c_percent(value, unit)
    zone, now = zone_or_utc(patient.time_zone), from_us(now_us)
    if drawn > now.astimezone(zone).date():
        raise BadInput("HbA1c: expected a day in the past, or today", reason="future")
    at = min(datetime.combine(drawn, time(12), zone).astimezone(UTC), now)
    event = Hba1c(time=at, value=value, unit="%" if unit == "%" else "mmol/mol")
    decoded = decode_arrivals([Arrival("", patient.id, encode_event(event))], now_us, 0)
    if decoded.dead:
        raise BadInput(f"HbA1c: the entry was refused ({', '.join(decoded.dead)})", reason="refused")
    return [Append(topic=topic, batch=batch) for topic, batch in decoded.batches.items()]
