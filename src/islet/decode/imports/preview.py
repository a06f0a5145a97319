"""What is in a file, before anything of it is used: counts, first and last, units, devices, and what was left out."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from msgspec import Struct, field

from islet.decode.imports.found import Found, Item, Skipped
from islet.errors import BadInput
from islet.model.codec import decode_event, encode_event
from islet.model.events import Reading
from islet.model.time import RECORDS_SINCE_US, to_us
from islet.model.units import glucose_tenths, glucose_unit

_ONE_IN: Final = 10
_IMPOSSIBLE: Final = "a reading below 10 or above 1500 mg/dL"


class LeftOut(Struct):
    """How many lines were left out for one reason, and the first of them."""

    count: int
    first_line: int


class Preview(Struct):
    """The sum of a file's items; grows as they pass (`tallied`), and holds no more than a line a kind."""

    events: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None
    beyond: int = 0
    """Readings that say only below or above what the sensor shows."""
    assumed: int = 0
    """Events whose time of day is not in the file."""

    def leave_out(self, line: int, reason: str) -> None:
        """Count a line that gives nothing."""
        known = self.left_out.setdefault(reason, LeftOut(0, line))
        known.count += 1


def tallied(items: Iterable[Item], preview: Preview, *, latest_us: int) -> Iterator[Found]:
    """The events among the items, each added to the preview; of two readings of one device and instant only the
    first, also when their values differ. Events before 1900 or after `latest_us` are left out: they cannot be so dated.

    A reading that no body has is left out; when more than a tenth of them are, the unit or the column is wrong, and
    BadInput is raised at the end, with the first line. So it is at once for other events that cannot be (a negative
    dose). Then nothing of the file should be used.
    """
    seen: set[tuple[str, int]] = set()
    impossible: list[BadInput] = []
    for item in items:
        if isinstance(item, Skipped):
            preview.leave_out(item.line, item.reason)
            continue
        refused = _refused(item)
        if refused is not None:
            impossible.append(refused)
            preview.leave_out(item.line, _IMPOSSIBLE)
            continue
        time_us = to_us(item.event.time)
        reason = None
        if not RECORDS_SINCE_US <= time_us <= latest_us:
            reason = "before 1900" if time_us < RECORDS_SINCE_US else "in the future"
        elif isinstance(item.event, Reading):
            if (item.device, time_us) in seen:
                reason = "the same device and instant as an earlier reading"
            seen.add((item.device, time_us))
        if reason:
            preview.leave_out(item.line, reason)
        else:
            _add(preview, item)
            yield item
    if len(impossible) * _ONE_IN > len(impossible) + sum(preview.units.values()):
        raise impossible[0]


def _refused(item: Found) -> BadInput | None:
    """Why a reading cannot be. Raises BadInput for another event that cannot."""
    event = item.event
    try:
        if isinstance(event, Reading):
            glucose_tenths(event.value, glucose_unit(event.unit))
        else:
            decode_event(encode_event(event))
    except BadInput as error:
        wrong = BadInput(f"line {item.line}: {error}", reason=error.reason)
        if isinstance(event, Reading):
            return wrong
        raise wrong from None
    return None


def _add(preview: Preview, item: Found) -> None:
    event = item.event
    preview.events[_kind(item)] += 1
    preview.devices[item.device] += 1
    preview.assumed += item.assumed
    preview.first = min(preview.first or event.time, event.time)
    preview.last = max(preview.last or event.time, event.time)
    if isinstance(event, Reading):
        preview.units[event.unit] += 1
        preview.beyond += event.range != "within"


def _kind(item: Found) -> str:
    event = item.event
    if isinstance(event, Reading):
        return "reading" if event.method == "cgm" else "capillary reading"
    return str(event.__struct_config__.tag)
