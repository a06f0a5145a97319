"""What alarms ask of people, counted."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from islet.model.alerts import Alert, Severity, alert_id
from islet.model.time import DAY_US, MINUTE_US, to_us
from islet.notify.burden import burden


def alert(rule: str, onset_us: int, *, seen: float | None = None, ended: float | None = None, **more: object) -> Alert:
    """`seen` and `ended` in minutes after the onset."""
    return Alert(
        id=alert_id(rule, "p-1", onset_us),
        rule=rule,
        patient="p-1",
        severity=more.pop("severity", Severity.WARNING),  # type: ignore[arg-type]
        onset_us=onset_us,
        opened_received_us=onset_us,
        acknowledged_us=None if seen is None else onset_us + round(seen * MINUTE_US),
        cleared_us=None if ended is None else onset_us + round(ended * MINUTE_US),
        **more,  # type: ignore[arg-type]
    )


def test_alerts_answers_and_waits_of_two_days() -> None:
    alerts = [
        alert("low", 0, seen=4, ended=20),
        alert("low", DAY_US, seen=10, ended=10),  # at the same moment: it had ended
        alert("high", DAY_US + 1, ended=60),
        alert("urgent_low", DAY_US + 2, seen=3, severity=Severity.URGENT),
    ]
    found = burden(alerts, 0, 2 * DAY_US)
    assert (found.alerts, found.alerts_per_day) == (4, 2.0)
    assert (found.acted_on_percent, found.ended_alone_percent) == (75.0, 50.0)
    assert found.median_to_acknowledge_min == 4.0
    assert list(found.by_rule.items()) == [("low", 2), ("high", 1), ("urgent_low", 1)]


def test_what_was_not_shown_or_did_not_happen_does_not_count() -> None:
    alerts = [
        alert("low", 0, retracted=True),
        alert("note", 0, severity=Severity.NOTICE),
        alert("low", -1),
        alert("low", DAY_US),
    ]
    found = burden(alerts, 0, DAY_US)
    assert found.alerts == 0
    assert (found.acted_on_percent, found.median_to_acknowledge_min, found.at_night_percent) == (None, None, None)


@pytest.mark.parametrize(("hour", "percent"), [(23, 0), (0, 100), (5, 100), (6, 0)])
def test_the_night_is_the_patients(hour: int, percent: float) -> None:
    onset_us = to_us(datetime(2026, 7, 1, hour, 30, tzinfo=ZoneInfo("Asia/Shanghai")))
    assert burden([alert("low", onset_us)], onset_us, onset_us + 1, zone="Asia/Shanghai").at_night_percent == percent


def test_an_empty_span_is_refused() -> None:
    with pytest.raises(ValueError, match="begins before"):
        burden([], 1, 1)
