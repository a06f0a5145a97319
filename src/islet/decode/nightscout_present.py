"""What Nightscout says of the present: for watch faces (/pebble) and widgets (/api/v2/properties).

Sources: cgm-remote-monitor (lib/server/pebble.js, lib/plugins: bgnow, direction, iob, cob, upbat). Where we differ: a value
below what the sensor shows (39) is said as the present one; Nightscout leaves it out, so that a face shows the one before.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from islet.model.units import glucose_in

Document = dict[str, object]

NAMES: Final = ("bgnow", "delta", "buckets", "direction", "iob", "cob", "upbat")
BACK_MS: Final = 2 * 86_400_000
"""How old the newest reading may be, as Nightscout has it: a face says itself how long ago it was."""
_BUCKETS: Final = 4
_BUCKET_MS: Final = 300_000
_MINUTE_MS: Final = 60_000
_LONG_AGO_MIN: Final = 9
_ARROWS: Final = {
    "NONE": "⇼",
    "DoubleUp": "⇈",
    "SingleUp": "↑",
    "FortyFiveUp": "↗",
    "Flat": "→",
    "FortyFiveDown": "↘",
    "SingleDown": "↓",
    "DoubleDown": "⇊",
}
_TRENDS: Final = {name: number for number, name in enumerate(_ARROWS)}
"""The numbers that Pebble's faces know."""
_BATTERY_LEVELS: Final = ((95, 100), (55, 75), (30, 50), (0, 25))
_BATTERY_WARN, _BATTERY_URGENT = 30, 20


class Present(Struct, frozen=True, kw_only=True):
    """What is known of a patient: a sensor's readings as `entries` (`islet.decode.nightscout_answers`), the newest first,
    and what is on board (None: nothing is known of any) or left in the uploader's battery (None: not told), in a unit."""

    entries: Sequence[Mapping[str, object]]
    now_ms: int
    unit: str = "mg/dL"
    iob_u: float | None = None
    cob_g: float | None = None
    battery_percent: float | None = None


class _Bucket(Struct, frozen=True, kw_only=True):
    """The readings of five minutes, the newest first."""

    from_ms: int
    readings: Sequence[Mapping[str, object]]

    @property
    def mean_mg_dl(self) -> float:
        return sum(map(_mg_dl, self.readings)) / len(self.readings)

    @property
    def ms(self) -> int:
        return _ms(self.readings[0])


def properties_of(present: Present) -> Document:
    """All of them, by name; what is not known is empty, or not there."""
    buckets = _buckets(present)
    full = [one for one in buckets if one.readings]
    found: Document = {"bgnow": _told(full[0], present) if full else {}}
    if (delta := _delta(full, present)) is not None:
        found["delta"] = delta
    found["buckets"] = [_bucket(index, one, present) for index, one in enumerate(buckets)]
    return found | {
        "direction": _direction(present),
        "iob": _iob(present),
        "cob": _cob(present),
        "upbat": _battery(present),
    }


def pebble_of(present: Present, count: int) -> Document:
    """The newest `count` readings for a watch face; the first of them with all the rest."""
    bgs = [_pebble_reading(one, present) for one in present.entries[:count]]
    if bgs:
        delta = _delta([one for one in _buckets(present) if one.readings], present)
        scaled = 0 if delta is None else delta["scaled"]
        bgs[0]["bgdelta"] = scaled if present.unit == "mg/dL" else f"{scaled:.1f}"
        if present.battery_percent:
            bgs[0]["battery"] = str(round(present.battery_percent))
        if present.iob_u is not None:
            bgs[0]["iob"] = _units(present.iob_u)
        if present.cob_g is not None:
            bgs[0]["cob"] = _number(round(present.cob_g, 1))
    return {"status": [{"now": present.now_ms}], "bgs": bgs, "cals": []}


def _pebble_reading(entry: Mapping[str, object], present: Present) -> Document:
    direction = str(entry["direction"])
    said = {"sgv": str(_scaled(_mg_dl(entry), present)), "trend": _TRENDS.get(direction, 8)}
    return {**said, "direction": direction, "datetime": entry["mills"]}


def _buckets(present: Present) -> list[_Bucket]:
    """Of the newest reading's five minutes, and of those before; none where there is no reading."""
    if not present.entries:
        return []
    newest_ms = _ms(present.entries[0])
    found = list[_Bucket]()
    rest = list(present.entries)
    for index in range(_BUCKETS):
        from_ms = newest_ms - _BUCKET_MS // 2 - index * _BUCKET_MS
        inside = [one for one in rest if _ms(one) >= from_ms]
        rest = rest[len(inside) :]
        found.append(_Bucket(from_ms=from_ms, readings=inside))
    return found


def _told(bucket: _Bucket, present: Present) -> Document:
    readings = [_reading(one, present) for one in bucket.readings]
    last = _number(_mg_dl(bucket.readings[0]))
    return {"mean": _number(bucket.mean_mg_dl), "last": last, "mills": bucket.ms, "sgvs": readings}


def _bucket(index: int, bucket: _Bucket, present: Present) -> Document:
    place = {"index": index, "fromMills": bucket.from_ms, "toMills": bucket.from_ms + _BUCKET_MS}
    return {**_told(bucket, present), **place} if bucket.readings else {**place, "sgvs": [], "isEmpty": True}


def _reading(entry: Mapping[str, object], present: Present) -> Document:
    mg_dl = _mg_dl(entry)
    same = {name: entry[name] for name in ("_id", "mills", "device", "direction", "type")}
    return {**same, "mgdl": _number(mg_dl), "scaled": _scaled(mg_dl, present)}


def _delta(full: Sequence[_Bucket], present: Present) -> Document | None:
    """The change in five minutes; of what is further apart its share."""
    if len(full) < 2:
        return None
    recent, previous = full[:2]
    absolute, elapsed_min = recent.mean_mg_dl - previous.mean_mg_dl, (recent.ms - previous.ms) / _MINUTE_MS
    is_far = elapsed_min > _LONG_AGO_MIN
    before = recent.mean_mg_dl - (absolute / elapsed_min * 5 if is_far else absolute)
    mg_dl = _number(_half_up(recent.mean_mg_dl - before))
    scaled = mg_dl
    if present.unit != "mg/dL":
        change = glucose_in(present.unit, recent.mean_mg_dl) - glucose_in(present.unit, before)
        scaled = _number(round(change, 1))
    return {
        "absolute": _number(absolute),
        "elapsedMins": _number(elapsed_min),
        "interpolated": is_far,
        "mean5MinsAgo": _number(before),
        "mgdl": mg_dl,
        "scaled": scaled,
        "display": f"{'+' if scaled >= 0 else ''}{scaled}",
        "previous": _told(previous, present),
    }


def _direction(present: Present) -> Document:
    if not present.entries:
        return {"display": None}
    value = str(present.entries[0]["direction"])
    label = _ARROWS.get(value, "-")
    return {"display": None, "value": value, "label": label, "entity": f"&#{ord(label)};"}


def _iob(present: Present) -> Document:
    if present.iob_u is None:
        return {}
    display = _units(present.iob_u)
    said = {"iob": _number(round(present.iob_u, 3)), "display": display, "displayLine": f"IOB: {display}U"}
    return {**said, "source": "Islet", "mills": present.now_ms}


def _cob(present: Present) -> Document:
    if present.cob_g is None:
        return {}
    display = _number(round(present.cob_g, 1))
    said = {"cob": _number(round(present.cob_g, 3)), "display": display, "displayLine": f"COB: {display}g"}
    return {**said, "source": "Islet", "mills": present.now_ms}


def _battery(present: Present) -> Document:
    if not present.battery_percent:
        return {"display": None}
    percent = round(present.battery_percent)
    level = next(shown for least, shown in _BATTERY_LEVELS if percent >= least)
    status = "urgent" if percent <= _BATTERY_URGENT else "warn" if percent <= _BATTERY_WARN else None
    return {"display": f"{percent}%", "value": percent, "level": level, "status": status}


def _units(amount_u: float) -> str:
    return f"{amount_u:.2f}" if round(amount_u, 2) else "0"


def _scaled(mg_dl: float, present: Present) -> int | float | str:
    """A number in mg/dL, a text with one decimal in mmol/L."""
    return _number(mg_dl) if present.unit == "mg/dL" else f"{glucose_in(present.unit, mg_dl):.1f}"


def _half_up(value: float) -> int:
    """As JavaScript rounds."""
    return int((value + 0.5) // 1)


def _number(value: float) -> int | float:
    """Whole where it is: programs in Go and Swift read no 112.0 where they expect 112."""
    return int(value) if value == int(value) else round(value, 4)


def _mg_dl(entry: Mapping[str, object]) -> float:
    return float(str(entry["sgv"]))


def _ms(entry: Mapping[str, object]) -> int:
    return int(str(entry["mills"]))
