"""From changes of alerts to messages in the queue: keeps each alert's state, asks `schedule.due`, writes down what it
says. All on the platform's clock."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from msgspec import structs

from islet.errors import BadInput, NotFound
from islet.model.alerts import AlertChange, Severity
from islet.model.time import MINUTE_US
from islet.notify.base import ANNOUNCEMENTS, Kind
from islet.notify.pages import Pages, Snooze
from islet.notify.queue import Draft, Queue
from islet.notify.recipients import About, Directory, Lane, reached
from islet.notify.schedule import Around, Due, Paging, Send, Sent, due
from islet.notify.texts import Said, Wording

NOBODY: Final = "nobody could be told: no contact of the patient's policy can be reached"
STRANGER: Final = "this person may not be told of the patient any more"
URGENCY: Final = {severity: rank for rank, severity in enumerate(Severity)}
_ALERTS_A_LOOK: Final = 50

_GRACE_US: Final = MINUTE_US
"""What an engine that reads a backlog finds is mostly over again a moment later."""

Known = Callable[[str, str], int | None]
"""(patient, rule) -> until when it is known whether the rule is breached: its newest reading, or now for a silence; None
where that is not known now."""

Tokens = Callable[[str], str]
"""A secret word for a message's key: always the same for the same key, not to be guessed."""


class Rules:
    """What the pager has to know of rules: by name, which rule takes over (`worsens`), whom it is meant for, and how
    long an episode has to last before it is said."""

    def __init__(
        self,
        worsens: Mapping[str, str] = {},
        audiences: Mapping[str, Collection[str]] = {},
        sustained_us: Mapping[str, int] = {},
    ) -> None:
        self._worsens, self._audiences, self._sustained_us = dict(worsens), dict(audiences), dict(sustained_us)

    def worse(self, rule: str) -> list[str]:
        """The rules that take over from it, the next one first; none in a circle, where nothing is worse."""
        chain: list[str] = []
        last = rule
        while (worse := self._worsens.get(last)) is not None and worse not in chain:
            chain.append(worse)
            last = worse
        return [] if rule in chain else chain

    def lesser(self, rule: str) -> list[str]:
        """The rules that it takes over from."""
        return [lesser for lesser in self._worsens if rule in self.worse(lesser)]

    def audience(self, rule: str) -> Collection[str]:
        return self._audiences.get(rule, ())

    def said_us(self, rule: str, onset_us: int) -> int:
        """When an episode with that onset could first be said."""
        return onset_us + self._sustained_us.get(rule, 0)


class Pager:
    """Alerts of one installation. Everything that writes is called inside a transaction."""

    def __init__(
        self,
        pages: Pages,
        queue: Queue,
        directory: Directory,
        wording: Callable[[str], Wording],
        *,
        max_age_us: int,
        rules: Rules,
        changing: Collection[str],
        token_of: Tokens,
        in_flight: Callable[[], Collection[int]],
        known_us: Known = lambda patient, rule: None,
    ) -> None:
        self._pages, self._queue, self._directory, self._wording = pages, queue, directory, wording
        self.rules = rules
        """May be exchanged between calls."""
        self._max_age_us, self._changing = max_age_us, frozenset(changing)
        self._token_of, self._in_flight, self._known_us = token_of, in_flight, known_us
        self._abouts: dict[str, About] = {}

    # from the log

    def forget_people(self) -> None:
        """Policies and contacts are asked for anew, once for each patient."""
        self._abouts.clear()

    def _about(self, patient: str) -> About:
        about = self._abouts.get(patient)
        if about is None:
            about = self._abouts[patient] = self._directory.about(patient)
        return about

    def rename(self, change: AlertChange) -> None:
        """The alert that takes another's place is not a new one."""
        if self._pages.rename(change.id, change.replaced_by):
            self._queue.rename(change.id, change.replaced_by)

    def take(self, change: AlertChange, now_us: int) -> int:
        """Fold a change and do what is due; how many messages were queued."""
        before = self._pages.get(change.id)
        after = self._folded(before, change, now_us)
        if after is None or after == before:
            return 0
        self._pages.put(after, now_us)
        if change.change == "acknowledged":
            self._acknowledge_lesser(after, change, now_us)
        return self._look(after, now_us) + self._look_at_lesser(after, now_us)

    def _folded(self, before: Paging | None, change: AlertChange, now_us: int) -> Paging | None:
        if change.change == "opened":
            return before if change.retrospective else self._opened(before, change, now_us)
        if before is None:
            return None
        if change.change == "acknowledged":
            return _acknowledged(before, change)
        if before.ended == "retracted":
            return before
        return structs.replace(before, ended=change.change)

    def _opened(self, before: Paging | None, change: AlertChange, now_us: int) -> Paging | None:
        too_old = now_us - self.rules.said_us(change.rule, change.at_us) > self._max_age_us
        if before is None:
            if not self._about(change.patient).policy.is_about(change.rule, change.severity):
                return None
            return Paging(
                alert=change.id,
                patient=change.patient,
                rule=change.rule,
                severity=change.severity,
                onset_us=change.onset_us,
                from_us=now_us,
                glucose_tenths=change.glucose_tenths,
                too_old=too_old,
            )
        if not before.ended:
            return structs.replace(before, onset_us=change.onset_us)
        return structs.replace(
            before,
            run=before.run + 1,
            from_us=now_us,
            ended="",
            too_old=too_old,
            acknowledged_us=None,
            unanswered=False,
        )

    def _acknowledge_lesser(self, worse: Paging, change: AlertChange, now_us: int) -> None:
        """Who has seen that it is worse has seen that it is bad."""
        for lesser in self._pages.active(worse.patient, self.rules.lesser(worse.rule)):
            self._pages.put(_acknowledged(lesser, change), now_us)

    def _look_at_lesser(self, worse: Paging, now_us: int) -> int:
        lesser = self._pages.active(worse.patient, self.rules.lesser(worse.rule))
        return sum(self._look(one, now_us) for one in lesser)

    # by the clock

    def look(self, now_us: int) -> int:
        """Do what is due for the alerts whose time has come; how many messages were queued."""
        self.forget_people()
        found = self._pages.due(now_us, _ALERTS_A_LOOK)
        worst_first = sorted(found, key=lambda one: URGENCY[one.severity])  # who hears of it needs not hear of the rest
        return sum(self._look(one, now_us) for one in worst_first)

    def _look(self, paging: Paging, now_us: int) -> int:
        if paging.too_old and self._goes_on(paging, now_us):
            paging = structs.replace(paging, run=paging.run + 1, from_us=now_us, too_old=False)
            self._pages.put(paging, now_us)
        about = self._about(paging.patient)
        sent = self._queue.sent(paging.alert, self._in_flight())
        if any(one.state == "sent" for one in sent) and self._queue.stamp(paging.alert, now_us):
            sent = self._queue.sent(paging.alert, self._in_flight())
        if self._hold_back_strangers(about, sent):
            sent = self._queue.sent(paging.alert, self._in_flight())
        self._reword(paging, about, sent, now_us)
        outcome = due(about.policy, paging, sent, self._around(paging, about), now_us)
        for withdrawal in outcome.withdrawals:
            self._queue.withdraw(withdrawal.id, withdrawal.reason)
        told = {contact.lane for contact in about.contacts}
        sends = [send for send in outcome.sends if send.lane in told]
        queued = sum(self._queue.add(*self._draft(paging, about, send, now_us)) for send in sends)
        if outcome.withdrawals:
            self._queue.drop_followers()
        self._conclude(paging, about, outcome, now_us)
        if sent or outcome.sends:
            self._look_later_at_lesser(paging, sent, outcome)
        return queued

    def _hold_back_strangers(self, about: About, sent: list[Sent]) -> int:
        """What waits for people who may not see the patient any more is not sent; how many messages. What waits for an
        address that was removed is the sender's to show."""
        told = {contact.lane for contact in about.contacts}
        found = [one for one in sent if one.state == "pending" and one.lane not in told]
        strangers = [one for one in found if self._directory.contact(one.lane) is not None]
        for one in strangers:
            self._queue.withdraw(one.id, STRANGER)
        return len(strangers)

    def _reword(self, paging: Paging, about: About, sent: list[Sent], now_us: int) -> None:
        """What waits holds no more than there is consent for now."""
        for one in sent:
            if one.state == "pending":
                draft, _ = self._draft(paging, about, Send(one.kind, one.lane), now_us)
                self._queue.reword(one.id, draft.title, draft.text)

    def _goes_on(self, paging: Paging, now_us: int) -> bool:
        """Whether it is known that an alert goes on which began too long ago to be told of when it came: a phone that
        was offline has told what it kept, or the platform was down. That it is so now is no history."""
        if paging.ended or now_us - paging.from_us < _GRACE_US:
            return False
        known_us = self._known_us(paging.patient, paging.rule)
        return known_us is not None and known_us > paging.onset_us and now_us - known_us <= self._max_age_us

    def _conclude(self, paging: Paging, about: About, outcome: Due, now_us: int) -> None:
        if outcome.unanswered and not paging.unanswered:
            self._pages.put(structs.replace(paging, unanswered=True), now_us)
        if outcome.nobody:
            draft, _ = self._draft(paging, about, Send(Kind.OPENED, Lane("", "")), now_us)
            self._queue.nobody(draft, NOBODY, now_us)
        self._pages.look_again(paging.alert, outcome.next_us)

    def _look_later_at_lesser(self, worse: Paging, sent: list[Sent], outcome: Due) -> None:
        """Whom this alert reaches, or no longer does, decides who hears of the lesser ones."""
        before = {one.lane for one in sent if one.kind in ANNOUNCEMENTS and one.state in ("pending", "sending", "sent")}
        changed = any(send.kind in ANNOUNCEMENTS and send.lane not in before for send in outcome.sends)
        failed = any(one.state == "undeliverable" for one in sent)
        if changed or failed:
            for one in self._pages.active(worse.patient, self.rules.lesser(worse.rule)):
                self._pages.look_again(one.alert, 0)

    def _around(self, paging: Paging, about: About) -> Around:
        audience = self.rules.audience(paging.rule)
        return Around(
            reach=[reached(step, about.contacts, audience) for step in about.policy.steps],
            max_age_us=self._max_age_us,
            covered=frozenset(self._covered(paging)),
            changing=self._changing,
            snoozed_until_us=self._pages.snoozed_until_us(paging.patient, paging.rule),
            time_zone=about.time_zone,
        )

    def _covered(self, paging: Paging) -> Iterator[Lane]:
        """Who hears of a worse alert of this patient that goes on."""
        for worse in self._pages.active(paging.patient, self.rules.worse(paging.rule)):
            for one in self._queue.sent(worse.alert, self._in_flight()):
                if one.run == worse.run and one.kind in ANNOUNCEMENTS and one.tells:
                    yield one.lane

    def _draft(self, paging: Paging, about: About, send: Send, now_us: int) -> tuple[Draft, str]:
        contact = next((c for c in about.contacts if c.lane == send.lane), None)
        title, text = self._wording(contact.language if contact else "")(_said(paging, about, send), contact)
        draft = Draft(
            paging.alert,
            send.lane,
            send.kind,
            URGENCY[paging.severity],
            title,
            text,
            now_us,
            paging.run,
            paging.answers,
            send.not_sent,
        )
        token = self._token_of("/".join((paging.alert, *send.lane))) if send.kind in ANNOUNCEMENTS else ""
        return draft, token

    # by people

    def snooze(self, alert: str, minutes: float, by: str, now_us: int) -> int:
        """Until when alerts of this one's rule now page nobody. Raises NotFound, BadInput.

        Only a person's wish comes here: nothing that is recorded of a treatment ever silences an alarm.
        """
        paging = self._pages.get(alert)
        if paging is None:
            raise NotFound("there is no such alert, or it pages nobody")
        if paging.ended:
            raise BadInput("snooze: expected an alert that goes on; this one has ended", reason="snooze")
        policy = self._directory.about(paging.patient).policy
        most_min = policy.snooze_min(paging.severity)
        if not 0 < minutes <= most_min:
            raise BadInput(f"snooze: expected more than 0 and at most {most_min:g} min", reason="snooze")
        until_us = now_us + round(minutes * MINUTE_US)
        self._pages.snooze(Snooze(paging.patient, paging.rule, until_us, by, now_us))
        return until_us


def _acknowledged(before: Paging, change: AlertChange) -> Paging:
    """A second acknowledgement is one more answer only if it is later than the first."""
    if before.ended or (before.acknowledged_us is not None and change.at_us <= before.acknowledged_us):
        return before
    return structs.replace(
        before,
        answers=before.answers + 1,
        acknowledged_us=change.at_us,
        acknowledged_by=change.by,
        unanswered=False,
    )


def _said(paging: Paging, about: About, send: Send) -> Said:
    return Said(
        kind=send.kind,
        rule=paging.rule,
        patient=paging.patient,
        since_us=paging.onset_us,
        name=about.name,
        glucose_tenths=paging.glucose_tenths,
        by=paging.acknowledged_by,
    )
