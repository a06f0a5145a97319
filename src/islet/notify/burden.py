"""How much alarms ask of the people around a patient: too many, and none is heard any more. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from islet.model.alerts import Alert, Severity
from islet.model.time import DAY_US, MINUTE_US, from_us
from islet.model.time_zones import zone_or_utc

PAGING: Final = (Severity.URGENT, Severity.WARNING)
NIGHT: Final = range(6)  # hours 0 to 6 of the patient's clock, as in the reports on CGM (doi:10.2337/dci19-0028)


class Burden(Struct, frozen=True, kw_only=True):
    """Of one patient in one span. Shares and medians are None where there is nothing to take them of.

    `acted_on_percent`: alerts that somebody acknowledged. `median_to_acknowledge_min`: from when we knew to the
    acknowledgement. `ended_alone_percent`: alerts that ended before anybody acknowledged them: candidates for a
    delay or another limit.
    """

    alerts: int
    alerts_per_day: float
    acted_on_percent: float | None
    ended_alone_percent: float | None
    median_to_acknowledge_min: float | None
    at_night_percent: float | None
    by_rule: Mapping[str, int]


def burden(
    alerts: Iterable[Alert],
    from_us: int,
    to_us: int,
    *,
    severities: Sequence[Severity] = PAGING,
    zone: str = "UTC",
) -> Burden:
    """The burden of one patient's alerts that began at from_us <= onset < to_us; retracted ones do not count.

    `zone` is the patient's. Raises ValueError for a span that is empty.

    >>> burden([], 0, DAY_US).alerts_per_day
    0.0
    """
    if from_us >= to_us:
        raise ValueError("burden: expected a span that begins before it ends")
    counted = [a for a in alerts if from_us <= a.onset_us < to_us and not a.retracted and a.severity in severities]
    answered = [a for a in counted if a.acknowledged_us is not None]
    alone = [a for a in counted if a.cleared_us is not None and (a.acknowledged_us or a.cleared_us) >= a.cleared_us]
    waits = [((a.acknowledged_us or 0) - a.opened_received_us) / MINUTE_US for a in answered]
    by_rule: dict[str, int] = {}
    for alert in counted:
        by_rule[alert.rule] = by_rule.get(alert.rule, 0) + 1
    return Burden(
        alerts=len(counted),
        alerts_per_day=len(counted) * DAY_US / (to_us - from_us),
        acted_on_percent=_percent(len(answered), len(counted)),
        ended_alone_percent=_percent(len(alone), len(counted)),
        median_to_acknowledge_min=median(max(0.0, wait) for wait in waits) if waits else None,
        at_night_percent=_percent(sum(_at_night(a, zone) for a in counted), len(counted)),
        by_rule=dict(sorted(by_rule.items(), key=lambda item: (-item[1], item[0]))),
    )


def _at_night(alert: Alert, zone: str) -> bool:
    return from_us(alert.onset_us).astimezone(zone_or_utc(zone)).hour in NIGHT


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None
