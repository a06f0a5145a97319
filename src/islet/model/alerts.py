"""Alerts: what the engine says, what people answer, and the state that follows from both.

An alert is one episode of one rule for one patient, dated by the fact (the onset), so its id is the same however
often and in whatever order the readings arrive. The log holds changes; folding a patient's changes in log order
gives the table of alerts. Clearing (the engine saw it end) and acknowledging (a person saw it) are kept apart.
"""

from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct, structs

PATTERN_CHANGE: Final = "pattern_change"
"""The one rule that is not the engine's: a nightly job finds somebody's days changed. Always retrospective."""


class Severity(StrEnum):
    """How urgent, in the words of the portal; order of declaration is order of urgency."""

    URGENT = "urgent"
    WARNING = "warning"
    NOTICE = "notice"
    TECHNICAL = "technical"


def alert_id(rule: str, patient: str, onset_us: int) -> str:
    """The id of the episode of a rule that began for a patient at that instant."""
    return f"{rule}~{patient}~{onset_us}"


def patient_in(id: str) -> str:
    """The patient whom an alert's id names, whether there is such an alert or not; "" where it names none.

    >>> patient_in("low~p-1~1795248180950000"), patient_in("low")
    ('p-1', '')
    """
    return id.partition("~")[2].rpartition("~")[0]


class AlertChange(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One line of the `alerts` topic (its document `type` is the `change`).

    `at_us` is the instant of the fact in the device's clock (for `acknowledged`: of the click, in ours).
    `retracted`: a late reading showed that this episode never was, or began at another time; `replaced_by` then
    names the alert that takes its place, and inherits its acknowledgement. `retrospective`: found in readings that
    came hours late, or by a nightly job; it is history, and nobody is paged for it.
    """

    change: Literal["opened", "cleared", "retracted", "acknowledged"]
    rule: str
    patient: str
    onset_us: int
    at_us: int
    severity: Severity = Severity.NOTICE
    device: str = ""
    glucose_tenths: int | None = None
    by: str = ""
    replaced_by: str = ""
    retrospective: bool = False

    @property
    def id(self) -> str:
        return alert_id(self.rule, self.patient, self.onset_us)


class Alert(Struct, frozen=True, kw_only=True):
    """The state of one alert: active or cleared, and apart from that acknowledged or not."""

    id: str
    rule: str
    patient: str
    severity: Severity
    onset_us: int
    opened_received_us: int
    device: str = ""
    glucose_tenths: int | None = None
    cleared_us: int | None = None
    retracted: bool = False
    acknowledged_us: int | None = None
    acknowledged_by: str = ""
    retrospective: bool = False

    @property
    def active(self) -> bool:
        return self.cleared_us is None and not self.retracted


def fold(alert: Alert | None, change: AlertChange, received_at_us: int) -> Alert | None:
    """The alert after a change; applying a change twice is the same as once.

    An acknowledgement of an alert that is not known gives None: it says nothing that could be shown. What the engine says
    at the time is no history, also where it was found as history before.
    """
    if change.change == "opened":
        if alert is None:
            return _opened(change, received_at_us)
        history = alert.retrospective and change.retrospective
        return structs.replace(alert, cleared_us=None, retracted=False, retrospective=history)
    if alert is None:
        return None
    if change.change == "cleared":
        return structs.replace(alert, cleared_us=change.at_us)
    if change.change == "retracted":
        return structs.replace(alert, retracted=True)
    if alert.acknowledged_us is not None:
        return alert
    return structs.replace(alert, acknowledged_us=change.at_us, acknowledged_by=change.by)


def _opened(change: AlertChange, received_at_us: int) -> Alert:
    return Alert(
        id=change.id,
        rule=change.rule,
        patient=change.patient,
        severity=change.severity,
        onset_us=change.onset_us,
        opened_received_us=received_at_us,
        device=change.device,
        glucose_tenths=change.glucose_tenths,
        retrospective=change.retrospective,
    )
