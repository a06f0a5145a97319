"""When the patient is to be asked to measure: times of the local day, also on the days on which clocks change."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from islet.errors import BadInput
from islet.model.time import MINUTE_US, from_us, to_us

MOST_TIMES: Final = 24
MOST_ANSWER_MIN: Final = 240
_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class Prompts(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """`times` ("08:00") of the local day in `time_zone`; each prompt can be answered for `answer_min` minutes, by a
    reading of any kind or by a capillary one alone."""

    times: tuple[str, ...] = ()
    time_zone: str = "UTC"
    answer_min: int = 30
    answered_by: str = "any"
    text: str = ""

    @property
    def answer_us(self) -> int:
        return self.answer_min * MINUTE_US


class Due(Struct, frozen=True, order=True):
    """A prompt that is due at an instant; its id is the local day and time that it is for."""

    at_us: int
    id: str


def check_prompts(prompts: Prompts) -> None:
    """Raises BadInput for what is no schedule."""
    if len(prompts.times) > MOST_TIMES or not all(_TIME.fullmatch(one) for one in prompts.times):
        raise BadInput(f"prompts: expected at most {MOST_TIMES} times such as 08:00", reason="prompts")
    if not 1 <= prompts.answer_min <= MOST_ANSWER_MIN:
        raise BadInput(f"prompts: expected answerMin from 1 to {MOST_ANSWER_MIN}", reason="prompts")
    if prompts.answered_by not in ("any", "capillary"):
        raise BadInput("prompts: expected answeredBy to be any or capillary", reason="prompts")
    if len(prompts.text) > 200:
        raise BadInput("prompts: expected a text of at most 200 characters", reason="prompts")
    try:
        ZoneInfo(prompts.time_zone)
    except (KeyError, ValueError, OSError):
        raise BadInput("prompts: expected a timeZone such as Europe/Vienna", reason="prompts") from None


def due_between(prompts: Prompts, after_us: int, until_us: int) -> list[Due]:
    """The prompts that are due later than `after_us` and not later than `until_us`, in order.

    A time that the clocks leave out in spring is as much later as they are put forward; one that comes twice in autumn
    is its first. Two that fall on one instant by that are one.

    >>> vienna = Prompts(times=("02:30", "08:00"), time_zone="Europe/Vienna")
    >>> spring_us = to_us(datetime(2026, 3, 29, tzinfo=UTC))
    >>> [from_us(one.at_us).isoformat() for one in due_between(vienna, spring_us, spring_us + 86_400_000_000)]
    ['2026-03-29T01:30:00+00:00', '2026-03-29T06:00:00+00:00']
    """
    zone = ZoneInfo(prompts.time_zone)
    day, last = from_us(after_us).date() - timedelta(days=1), from_us(until_us).date() + timedelta(days=1)
    found: dict[int, Due] = {}
    while day <= last:
        for text in sorted(set(prompts.times)):
            hour, minute = map(int, text.split(":"))
            local = datetime.combine(day, time(hour, minute), tzinfo=zone)
            at_us = to_us(local.astimezone(UTC))
            if after_us < at_us <= until_us:
                found.setdefault(at_us, Due(at_us, f"{day.isoformat()}T{text}"))
        day += timedelta(days=1)
    return sorted(found.values())
