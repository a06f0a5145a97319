"""How alarms are going, as the operations and the policy pages show it: what did not arrive, who is reached, how many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from islet.model.alerts import Alert
from islet.model.people import Patient
from islet.model.time import DAY_US, from_us
from islet.notify.burden import Burden, burden
from islet.notify.recipients import Lane
from islet.web.context import WebAlarms, WebContext
from islet.web.sessions import Viewer

BURDEN_DAYS: Final = 14
_ALERTS: Final = 10_000
_MOST_BURDENED: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A message that was given up."""

    time: str
    channel: str
    recipient: str
    title: str
    attempts: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """A recipient, and when something last reached them."""

    channel: str
    recipient: str
    succeeded: str
    failures: int
    reason: str
    tested: str
    confirmed: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Burdened:
    """A patient with many alarms."""

    id: str
    label: str
    burden: Burden


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """All of it. `unanswered`: instant, patient and rule."""

    counts: dict[str, int]
    undeliverable: Sequence[Given]
    unanswered: Sequence[tuple[str, str, str]]
    recipients: Sequence[Reached]
    burdened: Sequence[Burdened]
    days: int


def alarms_shown(context: WebContext, alarms: WebAlarms, viewer: Viewer) -> Shown:
    """What operators look at; of patients by name only those whom they may see."""
    outbox = alarms.outbox
    return Shown(
        counts=outbox.counts(),
        undeliverable=[
            Given(
                time=minute(one.given_up_us),
                channel=one.channel,
                recipient=one.recipient,
                title=one.title,
                attempts=one.attempts,
                reason=one.reason,
            )
            for one in outbox.undeliverable()
        ],
        unanswered=[(minute(one.from_us), one.patient, one.rule) for one in outbox.unanswered()],
        recipients=_recipients(alarms),
        burdened=_burdened(context, viewer),
        days=BURDEN_DAYS,
    )


def patient_burden(context: WebContext, patient: Patient) -> Burden:
    """How much a patient's alarms of the last BURDEN_DAYS asked of the people around them."""
    return _burden(context, patient, context.store.alerts([patient.id], limit=_ALERTS))


def minute(instant_us: int | None) -> str:
    """An instant as a page shows it without a script, in UTC; "" for none."""
    return "" if instant_us is None else from_us(instant_us).strftime("%Y-%m-%d %H:%M")


def _recipients(alarms: WebAlarms) -> list[Reached]:
    """Those that something was sent to, and those that nothing ever was."""
    health = alarms.outbox.health()
    seen = {Lane(one.channel, one.recipient) for one in health}
    found = [
        Reached(
            channel=one.channel,
            recipient=one.recipient,
            succeeded=minute(one.succeeded_us),
            failures=one.failures,
            reason=one.reason,
            tested=minute(one.tested_us),
            confirmed=minute(one.confirmed_us),
        )
        for one in health
    ]
    silent = sorted(contact.lane for contact in alarms.book.everybody() if contact.lane not in seen)
    return found + [
        Reached(
            channel=lane.channel,
            recipient=lane.recipient,
            succeeded="",
            failures=0,
            reason="",
            tested="",
            confirmed="",
        )
        for lane in silent
    ]


def _burdened(context: WebContext, viewer: Viewer) -> list[Burdened]:
    """The patients with the most alarms a day, of the newest alerts of those whom the viewer may see."""
    by_patient: dict[str, list[Alert]] = {}
    audience = viewer.audience if viewer.sees_labels else frozenset[str]()
    for alert in context.store.alerts(None if audience is None else sorted(audience), limit=_ALERTS):
        by_patient.setdefault(alert.patient, []).append(alert)
    most = sorted(by_patient, key=lambda patient: -len(by_patient[patient]))[: 3 * _MOST_BURDENED]
    people = (patient for id in most if (patient := context.registry.patient(id)) is not None)
    found = [Burdened(id=p.id, label=p.label, burden=_burden(context, p, by_patient[p.id])) for p in people]
    found.sort(key=lambda one: (-one.burden.alerts_per_day, one.id))
    return [one for one in found[:_MOST_BURDENED] if one.burden.alerts]


def _burden(context: WebContext, patient: Patient, alerts: Sequence[Alert]) -> Burden:
    now_us = context.now()
    return burden(alerts, now_us - BURDEN_DAYS * DAY_US, now_us, zone=patient.time_zone)
