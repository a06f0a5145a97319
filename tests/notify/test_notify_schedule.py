"""When whom to tell what: the schedule as a function, tried with a clock that is moved by hand."""

from itertools import count

from msgspec import structs

from islet.model.alerts import Severity
from islet.model.time import MINUTE_US
from islet.notify.base import Kind
from islet.notify.policy import DEFAULT, Policy, Step
from islet.notify.quiet import QuietHours
from islet.notify.recipients import Lane
from islet.notify.schedule import Around, Due, Paging, Sent, due
from tests.notify.scenario import NOW

URGENT, WARNING, NOTICE, TECHNICAL = Severity
PATIENT, PARTNER, NURSE = Lane("webpush", "patient"), Lane("telegram", "partner"), Lane("email", "nurse")
CHAIN = Policy(
    steps=(
        Step(who="patient", repeat_min=5.0),
        Step(who="care_partner", after_min=10.0, repeat_min=15.0),
        Step(who="clinician", after_min=30.0),
    )
)
REACH = ((PATIENT,), (PARTNER,), (NURSE,))


def minute(number: float) -> int:
    return NOW + round(number * MINUTE_US)


class Case:
    """One alert, its messages, and a clock."""

    def __init__(self, policy: Policy = CHAIN, severity: Severity = URGENT, **around: object) -> None:
        self.policy = policy
        self.paging = Paging(
            alert="a", patient="p-1", rule="low", severity=severity, onset_us=NOW, from_us=NOW, too_old=False
        )
        self.around = Around(
            **({"reach": REACH, "max_age_us": minute(30) - NOW, "changing": {"telegram"}} | around)  # type: ignore[arg-type]
        )
        self.sent: list[Sent] = []
        self.told: list[tuple[float, str, Kind]] = []
        self._ids = count()
        self.reply = "sent"

    def at(self, number: float) -> Due:
        """Do what is due at that minute; asking again at once has nothing more."""
        outcome = due(self.policy, self.paging, self.sent, self.around, minute(number))
        self._do(outcome, number)
        again = due(self.policy, self.paging, self.sent, self.around, minute(number))
        assert (again.sends, again.withdrawals) == ((), ())
        return again

    def until(self, number: float, begin: float = 0.0) -> None:
        """Go from one instant that is due to the next."""
        at = begin
        while at <= number:
            next_us = self.at(at).next_us
            if next_us is None:
                break
            assert next_us > minute(at)
            at = (next_us - NOW) / MINUTE_US

    def _do(self, outcome: Due, number: float) -> None:
        gone = {withdrawal.id for withdrawal in outcome.withdrawals}
        self.sent = [structs.replace(one, state="not_sent") if one.id in gone else one for one in self.sent]
        if outcome.unanswered:
            self.change(unanswered=True)
        for send in outcome.sends:
            state = "not_sent" if send.not_sent else self.reply
            if state == "sent":
                self.told.append((number, send.lane.recipient, send.kind))
            self.sent.append(
                Sent(
                    id=next(self._ids),
                    lane=send.lane,
                    kind=send.kind,
                    run=self.paging.run,
                    answers=self.paging.answers,
                    state=state,  # type: ignore[arg-type]
                    at_us=minute(number),
                )
            )

    def change(self, **fields: object) -> None:
        self.paging = structs.replace(self.paging, **fields)

    def acknowledge(self, number: float) -> None:
        self.change(answers=self.paging.answers + 1, acknowledged_us=minute(number), acknowledged_by="paul")

    def pages(self) -> list[tuple[float, str]]:
        return [(at, who) for at, who, kind in self.told if kind in (Kind.OPENED, Kind.REPEATED)]


def test_each_step_comes_after_its_time_and_repeats_until_somebody_answers() -> None:
    case = Case()
    case.until(31)
    assert case.pages() == [
        (0, "patient"),
        (5, "patient"),
        (10, "patient"),
        (10, "partner"),
        (15, "patient"),
        (20, "patient"),
        (25, "patient"),
        (25, "partner"),
        (30, "patient"),
        (30, "nurse"),
    ]


def test_an_acknowledgement_stops_all_pages_and_changes_what_is_shown() -> None:
    case = Case(severity=WARNING)
    case.until(10)
    case.acknowledge(11)
    case.told.clear()
    case.until(600, 11)
    assert case.told == [(11, "partner", Kind.ACKNOWLEDGED)]  # the other channel cannot change a message


def test_an_urgent_alert_that_was_acknowledged_and_goes_on_pages_again_from_the_first_step() -> None:
    case = Case()
    case.at(0)
    case.acknowledge(2)
    case.told.clear()
    case.until(43, 2)
    assert case.pages() == [(32, "patient"), (37, "patient"), (42, "patient"), (42, "partner")]
    case.acknowledge(43)
    case.told.clear()
    case.until(73, 43)
    assert case.pages() == [(73, "patient")]


def test_the_end_is_told_once_to_those_who_were_told_and_stops_everything() -> None:
    case = Case()
    case.until(10)
    case.change(ended="cleared")
    case.told.clear()
    case.until(600, 11)
    assert case.told == [(11, "patient", Kind.CLEARED), (11, "partner", Kind.CLEARED)]


def test_nobody_is_paged_for_history_and_it_is_on_record() -> None:
    case = Case()
    case.change(too_old=True)
    case.until(600)
    assert case.told == []
    assert [(one.lane, one.state) for one in case.sent] == [(PATIENT, "not_sent")]


def test_where_the_first_cannot_be_reached_the_next_comes_at_once() -> None:
    case = Case()
    case.reply = "pending"
    case.at(0)
    case.sent = [structs.replace(one, state="undeliverable") for one in case.sent]
    case.reply = "sent"
    case.at(0.1)
    assert case.pages() == [(0.1, "partner")]


def test_where_the_first_has_no_contact_the_next_comes_at_once() -> None:
    case = Case(reach=((), (PARTNER,), (NURSE,)))
    case.at(0)
    assert case.pages() == [(0, "partner")]


def test_a_delay_of_the_only_step_is_kept() -> None:
    case = Case(Policy(steps=(Step(who="care_partner", after_min=10.0),)), reach=((PARTNER,),))
    assert case.at(0).next_us == minute(10)
    case.until(10)
    assert case.pages() == [(10, "partner")]


def test_an_alert_that_nobody_can_be_told_of_says_so() -> None:
    assert Case(reach=((), (), ())).at(0).nobody


def test_a_technical_alert_of_who_has_no_contacts_is_no_fault() -> None:
    policy = Policy(steps=(Step(who="patient", severities=(TECHNICAL,)),))
    assert not Case(policy, TECHNICAL, reach=((),)).at(0).nobody


def test_no_repeat_is_queued_behind_a_page_that_has_not_arrived() -> None:
    case = Case()
    case.reply = "pending"
    case.until(60)
    assert [one.lane for one in case.sent] == [PATIENT, PARTNER, NURSE]


def test_repeats_that_were_missed_while_nothing_ran_are_one_page() -> None:
    case = Case()
    case.at(0)
    case.at(9)
    case.at(9.5)
    assert case.pages() == [(0, "patient"), (9, "patient")]


def test_an_alert_that_nobody_answers_is_dropped_in_the_end() -> None:
    case = Case()
    case.until(13 * 60)
    assert case.at(13 * 60).unanswered
    assert max(at for at, _ in case.pages()) < 12 * 60
    assert len(case.pages()) > 140  # there is no limit per day


def test_a_dropped_alert_that_is_acknowledged_and_goes_on_pages_again() -> None:
    case = Case()
    case.until(13 * 60)
    case.acknowledge(13 * 60)
    case.change(unanswered=False)
    case.told.clear()
    case.until(13 * 60 + 30, 13 * 60)
    assert case.pages() == [(13 * 60 + 30, "patient")]


def test_a_snooze_holds_pages_back_and_then_they_go_on() -> None:
    case = Case(snoozed_until_us=minute(20))
    case.until(21)
    assert case.pages() == [(20, "patient"), (20, "partner")]


def test_quiet_hours_hold_a_warning_until_morning_and_never_an_urgent_alert() -> None:
    """NOW is 14:13:20 in UTC, 22:13:20 in Shanghai."""
    quiet = structs.replace(CHAIN, quiet=QuietHours(begin="22:00", end="07:00"))
    warning, urgent = Case(quiet, WARNING, time_zone="Asia/Shanghai"), Case(quiet, URGENT, time_zone="Asia/Shanghai")
    warning.until(9 * 60)
    assert round(warning.pages()[0][0], 2) == 526.67
    urgent.at(0)
    assert urgent.pages() == [(0, "patient")]
    by_day = Case(quiet, WARNING, time_zone="Europe/London")
    by_day.at(0)
    assert by_day.pages() == [(0, "patient")]
    technical = Case(
        structs.replace(quiet, steps=(Step(who="patient", severities=(TECHNICAL,)),)),
        TECHNICAL,
        time_zone="Asia/Shanghai",
        reach=((PATIENT,),),
    )
    technical.at(0)
    assert technical.pages() == [(0, "patient")]


def test_a_worse_alert_takes_over_for_those_who_hear_of_it() -> None:
    case = Case(severity=WARNING)
    case.until(10)
    case.around = structs.replace(case.around, covered={PARTNER})
    case.told.clear()
    case.until(30, 11)
    assert (11, "partner", Kind.SUPERSEDED) in case.told
    assert {who for _, who in case.pages()} == {"patient", "nurse"}


def test_when_the_worse_alert_ends_first_the_lesser_is_told_again() -> None:
    case = Case(Policy(steps=(Step(who="patient"), Step(who="care_partner"))), WARNING, reach=((PATIENT,), (PARTNER,)))
    case.at(0)
    case.around = structs.replace(case.around, covered={PATIENT, PARTNER})
    case.at(5)
    case.around = structs.replace(case.around, covered=())
    case.told.clear()
    case.until(60, 9)
    assert case.told == [(9, "patient", Kind.REPEATED), (9, "partner", Kind.REPEATED)]


def test_a_page_that_waits_is_withdrawn_when_a_worse_alert_takes_over() -> None:
    case = Case(severity=WARNING)
    case.reply = "pending"
    case.at(0)
    case.around = structs.replace(case.around, covered={PATIENT})
    case.at(0)
    assert [one.state for one in case.sent] == ["not_sent"]


def test_a_page_that_has_not_gone_out_is_withdrawn_when_somebody_acknowledges() -> None:
    case = Case()
    case.reply = "pending"
    case.at(0)
    case.acknowledge(1)
    case.reply = "sent"
    case.until(2, 1)
    assert (case.told, [one.state for one in case.sent]) == ([], ["not_sent"])


def test_news_that_could_not_go_out_in_time_is_not_sent_late() -> None:
    case = Case()
    case.reply = "pending"
    case.at(0)
    case.change(ended="cleared")
    case.reply = "pending"
    outcome = case.at(1)
    assert outcome.next_us == minute(30) + 1
    case.at(31)
    assert case.sent[0].state == "not_sent"


def test_the_default_tells_the_patient_at_once_and_a_follower_later_but_not_of_an_urgent_low() -> None:
    contacts = {"patient": PATIENT, "care_partner": PARTNER}
    reach = tuple((contacts[step.who],) if step.who in contacts else () for step in DEFAULT.steps)
    low, urgent = Case(DEFAULT, WARNING, reach=reach), Case(DEFAULT, URGENT, reach=reach)
    low.until(60)
    assert low.pages() == [(0, "patient"), (15, "partner")]
    urgent.until(5)
    assert urgent.pages() == [(0, "patient"), (0, "partner"), (5, "patient"), (5, "partner")]


def test_a_contact_in_two_steps_is_told_once_for_both() -> None:
    twice = Policy(steps=(Step(who="patient", repeat_min=5.0), Step(who="user:paul", repeat_min=10.0)))
    case = Case(twice, reach=((PATIENT,), (PATIENT,)))
    case.until(10)
    assert case.pages() == [(0, "patient"), (5, "patient"), (10, "patient")]
