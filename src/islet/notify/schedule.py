"""When whom to tell what of one alert: a pure function of the policy, the alert's state and what was sent so far.

Nothing is remembered between calls, so that a restart anywhere goes on where it was. A page that fell due while
nothing ran is sent once, however many repeats were missed.
"""

from collections.abc import Collection, Sequence
from typing import Final, Literal

from msgspec import Struct

from islet.model.alerts import Severity
from islet.model.time import HOUR_US, MINUTE_US
from islet.notify.base import ANNOUNCEMENTS, CHANGES, ENDS, Kind
from islet.notify.policy import Policy, Step
from islet.notify.quiet import quiet_until_us
from islet.notify.recipients import Lane

TOO_OLD: Final = "too old"
_LOOK_US: Final = MINUTE_US
"""How often one asks whether an alert that nobody is paged for goes on (`Pager`)."""
_MUST_REACH: Final = (Severity.URGENT, Severity.WARNING)
"""That nobody can be told of these is a fault; of others it is the usual thing where people have no contacts."""


class Paging(Struct, frozen=True, kw_only=True):
    """One alert as the pager knows it.

    `run` counts how often it began anew after it had ended; `answers` how often it was acknowledged. `from_us` is when
    this run was taken in. `too_old`: the fact was history by then, so nobody is paged for this run; where it is known
    later that it goes on, another run begins.
    """

    alert: str
    patient: str
    rule: str
    severity: Severity
    onset_us: int
    from_us: int
    glucose_tenths: int | None = None
    run: int = 0
    answers: int = 0
    acknowledged_us: int | None = None
    acknowledged_by: str = ""
    ended: Literal["", "cleared", "retracted"] = ""
    too_old: bool = False
    unanswered: bool = False


class Sent(Struct, frozen=True, kw_only=True):
    """A message that was queued. `at_us`: when it was delivered, for one that was; else when it was queued.

    "sending" is at the channel at this moment and can no longer be held back.
    """

    id: int
    lane: Lane
    kind: Kind
    run: int
    answers: int
    state: Literal["pending", "sending", "sent", "not_sent", "undeliverable"]
    at_us: int

    @property
    def tells(self) -> bool:
        """Whether the recipient has heard of it, or will."""
        return self.state in ("pending", "sending", "sent")


class Send(Struct, frozen=True):
    """Something to queue; `not_sent` says why it is only recorded."""

    kind: Kind
    lane: Lane
    not_sent: str = ""


class Withdraw(Struct, frozen=True):
    """A queued message that is no longer to go out, and why."""

    id: int
    reason: str


class Due(Struct, frozen=True):
    """What to do now, and when to look again (None: when something happens). `unanswered`: this run is given up.

    `nobody`: the alert should page somebody and there is no one who could be reached.
    """

    sends: tuple[Send, ...] = ()
    withdrawals: tuple[Withdraw, ...] = ()
    next_us: int | None = None
    unanswered: bool = False
    nobody: bool = False


class Around(Struct, frozen=True, kw_only=True):
    """What else there is to know. `reach`: the lanes of each of the policy's steps. `covered`: lanes that a worse
    alert of this patient, which takes this one's place, has told or will tell. `changing`: the channels that can change
    a message they have delivered. `max_age_us`: what is older is news to nobody.
    """

    reach: Sequence[Sequence[Lane]]
    max_age_us: int
    covered: Collection[Lane] = ()
    changing: Collection[str] = ()
    snoozed_until_us: int = 0
    time_zone: str = "UTC"


def due(policy: Policy, paging: Paging, sent: Sequence[Sent], around: Around, now_us: int) -> Due:
    """What is due for one alert at `now_us`. `sent` has all of its messages, oldest first.

    Doing what it says and asking again at the same instant gives no sends. Asking more often changes nothing.
    """
    mine = [one for one in sent if one.run == paging.run]
    if paging.ended:
        return _after_end(paging, sent, around, now_us)
    if paging.too_old:
        told = () if mine else _too_old(policy, paging, around)
        return Due(told, next_us=now_us + _LOOK_US)
    if paging.unanswered:
        return Due(unanswered=True)
    news = _news(paging, mine, around)
    if paging.acknowledged_us is not None and not _again(policy, paging):
        return news
    pages = _pages(policy, paging, mine, around, now_us)
    return Due(news.sends + pages.sends, news.withdrawals, pages.next_us, pages.unanswered, pages.nobody)


# what became of it


def _after_end(paging: Paging, sent: Sequence[Sent], around: Around, now_us: int) -> Due:
    """Who was told that it began is told that it ended; what has not gone out is not news for ever."""
    waiting = [one for one in sent if one.state == "pending" and one.kind in ANNOUNCEMENTS]
    withdrawals = tuple(
        Withdraw(one.id, reason) for one in waiting if (reason := _outdated(paging, one, around, now_us))
    )
    gone = {withdrawal.id for withdrawal in withdrawals}
    stale_us = [one.at_us + around.max_age_us + 1 for one in waiting if one.id not in gone]
    mine = [one for one in sent if one.run == paging.run and one.id not in gone]
    ended = {one.lane for one in mine if one.kind in ENDS}
    sends = tuple(Send(Kind(paging.ended), lane) for lane in _told(mine) if lane not in ended)
    return Due(sends, withdrawals, min(stale_us, default=None))


def _outdated(paging: Paging, page: Sent, around: Around, now_us: int) -> str:
    if paging.ended == "retracted":
        return "withdrawn before it was sent"
    if page.kind is Kind.REPEATED:
        return "it ended before this was sent"
    return TOO_OLD if page.at_us + around.max_age_us < now_us else ""


def _too_old(policy: Policy, paging: Paging, around: Around) -> tuple[Send, ...]:
    """Recorded for those who would have been told at once; nobody is."""
    lanes = dict.fromkeys(
        lane
        for step, lanes in zip(policy.steps, around.reach, strict=True)
        if step.is_about(paging.rule, paging.severity) and not policy.delay_min(step, paging.rule, paging.severity)
        for lane in lanes
    )
    return tuple(Send(Kind.OPENED, lane, TOO_OLD) for lane in lanes)


def _news(paging: Paging, mine: Sequence[Sent], around: Around) -> Due:
    """Somebody has acknowledged it, or a worse alert has taken over: what waits is held back, what is shown changes."""
    withdrawals = tuple(
        Withdraw(one.id, reason)
        for one in mine
        if one.state == "pending" and one.kind in ANNOUNCEMENTS and (reason := _needless(paging, one, around))
    )
    gone = {withdrawal.id for withdrawal in withdrawals}
    left = [one for one in mine if one.id not in gone]
    last = _last(left)
    sends = [
        send for lane in _told(left) if (send := _change(paging, lane, last[lane], around)) and not _waits(last[lane])
    ]
    return Due(tuple(sends), withdrawals)


def _needless(paging: Paging, page: Sent, around: Around) -> str:
    if page.answers < paging.answers:
        return "somebody has acknowledged it"
    return "a worse alert has taken its place" if page.lane in around.covered else ""


def _waits(one: Sent) -> bool:
    return one.state == "pending"


def _change(paging: Paging, lane: Lane, last: Sent, around: Around) -> Send | None:
    """What the message that the lane has should now say. That another alert took over is always on record: when that
    one ends first, this one is told again."""
    can = lane.channel in around.changing
    if last.answers < paging.answers:
        return Send(Kind.ACKNOWLEDGED, lane) if can else None
    if lane in around.covered and last.kind not in CHANGES:
        return Send(Kind.SUPERSEDED, lane, "" if can else "this channel cannot change a message")
    return None


def _last(mine: Sequence[Sent]) -> dict[Lane, Sent]:
    """Each lane's newest message that counts."""
    return {one.lane: one for one in mine if one.tells or one.kind in CHANGES}


def _told(mine: Sequence[Sent]) -> list[Lane]:
    """Who knows, or will, that it began."""
    return list(dict.fromkeys(one.lane for one in mine if one.kind in ANNOUNCEMENTS and one.tells))


# pages


def _again(policy: Policy, paging: Paging) -> bool:
    return paging.severity in policy.again_severities


def _begins_us(policy: Policy, paging: Paging) -> int:
    """From when the steps count: the alert, or so long after the last answer."""
    if paging.acknowledged_us is None:
        return paging.from_us
    return paging.acknowledged_us + round(policy.again_min * MINUTE_US)


def _pages(policy: Policy, paging: Paging, mine: Sequence[Sent], around: Around, now_us: int) -> Due:
    turn = _Turn(paging, mine, around, now_us)
    gives_up_us = None if turn.first_us is None else turn.first_us + round(policy.unanswered_h * HOUR_US)
    if gives_up_us is not None and now_us >= gives_up_us:
        return Due(unanswered=True)
    begins_us = _begins_us(policy, paging)
    held_until_us = _held_until_us(policy, paging, around, now_us)
    if max(begins_us, held_until_us) > now_us:
        return Due(next_us=max(begins_us, held_until_us))
    steps = [
        (step, lanes)
        for step, lanes in zip(policy.steps, around.reach, strict=True)
        if step.is_about(paging.rule, paging.severity)
    ]
    if not any(lanes for _, lanes in steps):
        return Due(nobody=paging.severity in _MUST_REACH)
    for step, lanes in sorted(steps, key=lambda one: policy.delay_min(one[0], paging.rule, paging.severity)):
        turn.take(step, lanes, begins_us, policy.delay_min(step, paging.rule, paging.severity))
    if turn.sends and gives_up_us is None:
        gives_up_us = now_us + round(policy.unanswered_h * HOUR_US)
    return Due(
        tuple(turn.sends), next_us=min([i for i in (gives_up_us, *turn.instants) if i is not None], default=None)
    )


def _held_until_us(policy: Policy, paging: Paging, around: Around, now_us: int) -> int:
    """The end of a snooze or of quiet hours; an instant that is past where there is neither."""
    quiet = policy.quiet
    if quiet is None or paging.severity is Severity.URGENT or paging.severity not in quiet.severities:
        return around.snoozed_until_us
    return max(around.snoozed_until_us, quiet_until_us(quiet, around.time_zone, now_us) or 0)


class _Turn:
    """One look at all steps, the earliest first. `first_us`: when the first page since the last answer was."""

    def __init__(self, paging: Paging, mine: Sequence[Sent], around: Around, now_us: int) -> None:
        self._covered, self._now_us = around.covered, now_us
        pages = [
            one
            for one in mine
            if one.kind in ANNOUNCEMENTS and one.answers == paging.answers and one.state != "not_sent"
        ]
        self._knows = set(_told(mine))
        self._last_page = {one.lane: one for one in pages}
        self._overtaken = {lane for lane, one in _last(mine).items() if one.kind is Kind.SUPERSEDED}
        self._steps, self._failures = 0, 0
        self.first_us = min((one.at_us for one in pages), default=None)
        self.sends: list[Send] = []
        self.instants: list[int] = []

    def take(self, step: Step, lanes: Sequence[Lane], begins_us: int, delay_min: float) -> None:
        """Queue what the step has due. Where there are steps before it and nobody could be reached, it comes at once."""
        at_once = 0 < self._steps == self._failures
        comes_us = begins_us if at_once else begins_us + round(delay_min * MINUTE_US)
        self._steps += 1
        self._failures += all(self._failed(lane) for lane in lanes)
        for lane in lanes:
            if lane in self._covered or any(send.lane == lane for send in self.sends):
                continue
            due_us = self._due_us(step, lane, comes_us)
            if due_us is not None and due_us <= self._now_us:
                self.sends.append(Send(Kind.REPEATED if lane in self._knows else Kind.OPENED, lane))
            elif due_us is not None:
                self.instants.append(due_us)

    def _failed(self, lane: Lane) -> bool:
        page = self._last_page.get(lane)
        return page is not None and not page.tells

    def _due_us(self, step: Step, lane: Lane, comes_us: int) -> int | None:
        last = self._last_page.get(lane)
        if last is None or last.at_us < comes_us or lane in self._overtaken:
            return comes_us
        if not step.repeat_min or last.state in ("pending", "sending"):
            return None
        return last.at_us + round(step.repeat_min * MINUTE_US)
