"""What a policy may say, whom its steps reach, and when the night is quiet."""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.errors import BadInput
from islet.menu import PLUGS
from islet.model.alerts import Severity
from islet.model.people import Kind, Principal, Role
from islet.model.time import DAY_US, MINUTE_US, from_us, to_us
from islet.notify.policy import CHANNELS, DEFAULT, Policy, Step, check_policy, once
from islet.notify.quiet import QuietHours, quiet_until_us
from islet.notify.recipients import Contact, Lane, may_be_told, reached
from tests.conftest import examples

URGENT, WARNING, NOTICE, TECHNICAL = Severity
NIGHT = QuietHours(begin="22:00", end="07:00")
WAKING = Step(who="patient", repeat_min=5, severities=(URGENT,))


def with_waking(*steps: Step, **more: object) -> Policy:
    return Policy(steps=(WAKING, *steps), **more)  # type: ignore[arg-type]


def test_the_default_is_one_that_is_allowed() -> None:
    check_policy(DEFAULT)


def test_a_policy_is_a_document_that_comes_back_as_it_was() -> None:
    policy = with_waking(quiet=NIGHT, follower_delay_min={"low": 15.0})
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


def test_a_misspelt_word_in_a_document_is_not_passed_over() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"steps": [], "quit": null}', type=Policy)


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Policy(steps=()), "every urgent alert"),
        (Policy(steps=(Step(who="patient"),)), "every urgent alert"),  # never again
        (Policy(steps=(Step(who="patient", after_min=6, repeat_min=5),)), "every urgent alert"),
        (Policy(steps=(Step(who="patient", repeat_min=20),)), "every urgent alert"),
        (Policy(steps=(Step(who="patient", repeat_min=5, rules=("low",)),)), "every urgent alert"),
        (with_waking(Step(who="nurse")), "who"),
        (with_waking(Step(who="user:")), "who"),
        (with_waking(Step(who="patient", channel="telegrm")), "step 2, channel: expected one of apprise"),
        (with_waking(*[WAKING] * 50), "at most 50"),
        (with_waking(Step(who="patient", repeat_min=4)), "repeat_min"),
        (with_waking(Step(who="patient", after_min=61)), "after_min"),
        (with_waking(Step(who="patient", after_min=-1)), "after_min"),
        (with_waking(Step(who="patient", after_min=float("nan"))), "after_min"),
        (with_waking(Step(who="patient", severities=())), "severities"),
        (with_waking(Step(who="patient", rules=("lwo",))), "no such rule"),
        (with_waking(again_min=4), "again_min"),
        (with_waking(again_severities=()), "again_severities"),
        (with_waking(snooze_most_min=121), "snooze_most_min"),
        (with_waking(unanswered_h=0.5), "unanswered_h"),
        (with_waking(follower_delay_min={"low": 121}), "follower_delay_min"),
        (with_waking(follower_delay_min={"high": 361}), "follower_delay_min"),
        (with_waking(quiet=QuietHours(begin="22:00", end="22:00")), "quiet"),
        (with_waking(quiet=QuietHours(begin="24:00", end="07:00")), "22:00"),
        (with_waking(quiet=QuietHours(begin="22:00", end="07:00", severities=(URGENT,))), "never silenced"),
    ],
)
def test_a_policy_that_would_leave_somebody_in_danger_is_refused(policy: Policy, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        check_policy(policy, rules=("low", "high", "urgent_low"))


def test_a_step_can_name_each_channel_there_is() -> None:
    assert list(CHANNELS) == sorted(PLUGS["notifier"])


def test_an_urgent_alert_is_never_delayed_for_a_follower_and_never_snoozed_for_long() -> None:
    follower = Step(who="care_partner")
    policy = with_waking(follower, follower_delay_min={"low": 20.0, "urgent_low": 20.0})
    assert policy.delay_min(follower, "urgent_low", URGENT) == 0
    assert policy.delay_min(follower, "low", WARNING) == 20
    assert policy.delay_min(Step(who="patient"), "low", WARNING) == 0
    assert (policy.snooze_min(URGENT), policy.snooze_min(WARNING)) == (30, 120)


def test_settings_alone_mean_one_message_to_each_address() -> None:
    (step,) = once([URGENT, WARNING]).steps
    assert (step.who, step.repeat_min, step.severities) == ("installation", 0, (URGENT, WARNING))


# whom it reaches

ANNA = Contact(id="anna", channel="telegram", address="7", user="anna", role=Role.CARE_PARTNER)
PHONE = Contact(id="phone", channel="webpush", address="{}", user="paul", role=Role.PATIENT)
MAIL = Contact(id="mail", channel="email", address="a@b", user="paul", role=Role.PATIENT)
WARD = Contact(id="-100", channel="telegram", address="-100")
EVERYBODY = [ANNA, PHONE, MAIL, WARD]


@pytest.mark.parametrize(
    ("step", "ids"),
    [
        (Step(who="patient"), ["phone", "mail"]),
        (Step(who="patient", channel="email"), ["mail"]),
        (Step(who="patient", contact="phone"), ["phone"]),
        (Step(who="user:anna"), ["anna"]),
        (Step(who="user:-100"), []),
        (Step(who="installation"), ["-100"]),
        (Step(who="clinician"), []),
    ],
)
def test_a_step_reaches_the_contacts_of_whom_it_names(step: Step, ids: list[str]) -> None:
    assert [lane.recipient for lane in reached(step, EVERYBODY)] == ids


def test_a_rule_for_followers_is_not_told_to_the_patient() -> None:
    assert reached(Step(who="patient"), EVERYBODY, ("followers",)) == []
    assert reached(Step(who="care_partner"), EVERYBODY, ("followers",)) == [Lane("telegram", "anna")]
    assert reached(Step(who="user:paul"), EVERYBODY, ("followers",)) == [
        Lane("webpush", "phone"),
        Lane("email", "mail"),
    ]


def test_who_may_not_see_a_patient_any_more_is_told_nothing() -> None:
    anna = Principal(kind=Kind.USER, role=Role.CARE_PARTNER, name="anna", patients=("p-1",))
    assert may_be_told(EVERYBODY, {"anna": anna}, "p-1") == [WARD]
    may = {"anna": msgspec.structs.replace(anna, consents={"p-1": True})}
    assert may_be_told(EVERYBODY, may, "p-1") == [ANNA, WARD]
    assert may_be_told(EVERYBODY, may, "p-2") == [WARD]


def test_a_contact_that_was_disabled_is_not_reached() -> None:
    assert reached(Step(who="user:anna"), [msgspec.structs.replace(ANNA, enabled=False)]) == []


# quiet hours


def local(zone: str, *when: int, fold: int = 0) -> int:
    return to_us(datetime(*when, tzinfo=ZoneInfo(zone), fold=fold))  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("hour", "minute", "ends"), [(21, 59, None), (22, 0, 7), (23, 59, 7), (0, 0, 7), (6, 59, 7), (7, 0, None)]
)
def test_the_night_is_quiet_by_the_patients_clock(hour: int, minute: int, ends: int | None) -> None:
    now_us = local("Asia/Shanghai", 2026, 3, 5, hour, minute)
    until_us = quiet_until_us(NIGHT, "Asia/Shanghai", now_us)
    assert until_us == (None if ends is None else local("Asia/Shanghai", 2026, 3, 6 if hour >= 22 else 5, ends, 0))


def test_the_night_is_an_hour_shorter_when_summer_begins() -> None:
    evening = local("Europe/Vienna", 2026, 3, 28, 22, 0)
    assert quiet_until_us(NIGHT, "Europe/Vienna", evening) == evening + 8 * 60 * MINUTE_US


def by_the_minute(hours: QuietHours, zone: str, now_us: int) -> int | None:
    """The slow way: look at the wall clock of each minute."""

    def is_quiet(at_us: int) -> bool:
        shown = f"{from_us(at_us).astimezone(ZoneInfo(zone)):%H:%M}"
        between = (hours.begin <= shown, shown < hours.end)
        return all(between) if hours.begin < hours.end else any(between)

    if not is_quiet(now_us):
        return None
    return next(at_us for at_us in range(now_us + MINUTE_US, now_us + 2 * DAY_US, MINUTE_US) if not is_quiet(at_us))


CHANGES = {
    "Europe/Vienna": [(2026, 3, 29, 1), (2026, 10, 25, 1)],
    "America/New_York": [(2026, 3, 8, 7), (2026, 11, 1, 6)],
    "America/St_Johns": [(2026, 3, 8, 5), (2026, 11, 1, 4)],
    "Australia/Lord_Howe": [(2026, 4, 4, 15), (2026, 10, 3, 15)],
    "Asia/Shanghai": [(2026, 3, 5, 0)],
}
MINUTES = st.integers(0, 1439)
NEAR = st.integers(-26 * 60, 26 * 60)


@settings(deadline=None, max_examples=examples(200))
@given(st.sampled_from([(zone, at) for zone, changes in CHANGES.items() for at in changes]), NEAR, MINUTES, MINUTES)
def test_quiet_hours_end_with_the_first_minute_that_is_not_quiet(
    change: tuple[str, tuple[int, ...]], near: int, begin: int, end: int
) -> None:
    zone, at = change
    hours = QuietHours(begin=f"{begin // 60:02}:{begin % 60:02}", end=f"{end // 60:02}:{end % 60:02}")
    now_us = local("UTC", *at) + near * MINUTE_US
    until_us = expected_us = by_the_minute(hours, zone, now_us) if begin != end else None
    asked_us = now_us
    for _ in range(2 if begin != end else 0):  # again where a change jumps over all the time that is not quiet
        if (later_us := quiet_until_us(hours, zone, asked_us)) is not None:
            assert later_us > asked_us
            asked_us = until_us = later_us
    assert until_us == expected_us
