"""Whom alarms page, and when: one person after another, worse alerts in the place of lesser ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from islet.model.alerts import AlertChange
from islet.notify.base import Failed, Kind, RetryAfter
from islet.notify.policy import DEFAULT
from islet.notify.recipients import Lane
from tests.notify.people import (
    ANNA,
    PAUL,
    WARNING,
    Home,
    acknowledged,
    cleared,
    minute,
    opened,
)
from tests.notify.scenario import NOW, ListChannel, append, change

BOTH = (PAUL, structs.replace(ANNA, channel="telegram"))


def test_the_alarm_goes_on_to_the_next_person_and_stops_when_one_answers(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    home.until(12)
    home.says(acknowledged(at=12))
    home.until(20)
    home.says(cleared(at=20))
    home.until(90)
    assert home.kinds() == [
        (0, "paul", "opened"),
        (5, "paul", "repeated"),
        (10, "anna", "opened"),
        (10, "paul", "repeated"),
        (20, "anna", "cleared"),
        (20, "paul", "cleared"),
    ]


def test_an_urgent_alert_that_was_confirmed_and_goes_on_pages_again_after_half_an_hour(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    home.at(0)
    home.says(acknowledged(at=1))
    home.until(31)
    assert home.kinds() == [(0, "paul", "opened"), (31, "paul", "repeated")]


What = Literal["low", "low over", "worse", "worse over", "seen"]
Event = tuple[float, What]
SAID: dict[What, AlertChange] = {
    "low": opened("low", WARNING),
    "low over": cleared("low", WARNING),
    "worse": opened(),
    "worse over": cleared(),
}


def lived(
    path: Path, events: list[Event], cuts: list[tuple[float, bool]], looks: list[float]
) -> list[tuple[float, str, str, str]]:
    """An hour of a family, with cuts (gentle or not) and looks at odd times."""
    home = Home(path, BOTH)
    moments: list[tuple[float, int, Callable[[], None]]] = []
    for at, what in events:
        moments.append((at, 0, partial(happens, home, at, what)))
    for at, gently in cuts:
        moments.append((at, 1, partial(home.restart, gently=gently)))
    for at in looks:
        moments.append((at, 2, partial(home.at, at)))
    for at, _, what_comes in sorted(moments, key=lambda moment: moment[:2]):
        home.until(at)
        what_comes()
    home.until(60)
    home.box.close()
    told = zip(home.told, home.messages, strict=True)
    return sorted((at, who, message.id, str(kind)) for (at, who, kind), message in told)


def happens(home: Home, at: float, what: What) -> None:
    if what == "seen":
        home.says(acknowledged(at=at), acknowledged("low", WARNING, at=at))
    else:
        home.says(SAID[what])


MINUTES = st.integers(0, 59).map(float)


@settings(deadline=None, max_examples=6)
@example(events=[(1.0, "low"), (4.0, "worse"), (30.0, "worse over")], cuts=[(4.0, False)], looks=[])
@given(
    events=st.lists(
        st.tuples(MINUTES, st.sampled_from(["low", "low over", "worse", "worse over", "seen"])), max_size=5
    ),
    cuts=st.lists(st.tuples(MINUTES, st.booleans()), max_size=3),
    looks=st.lists(st.floats(0, 59), max_size=2),
)
def test_cut_anywhere_the_same_people_are_paged_at_the_same_instants(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[Event],
    cuts: list[tuple[float, bool]],
    looks: list[float],
) -> None:
    """Every timer is in the store: a restart, a kill, or a look at an odd moment changes no page."""
    whole = lived(tmp_path_factory.mktemp("whole"), events, [], [])
    cut = lived(tmp_path_factory.mktemp("cut"), events, cuts, looks)
    assert cut == whole


# a worse alert


def test_a_worse_alert_takes_the_place_of_the_lesser_instead_of_doubling_it(tmp_path: Path) -> None:
    home = Home(tmp_path, (structs.replace(PAUL, channel="telegram"),), DEFAULT)
    home.says(opened("low", WARNING))
    home.at(0)
    home.says(opened(at=3))
    home.at(3)
    home.until(8)
    assert home.kinds() == [
        (0, "paul", "opened"),
        (3, "paul", "opened"),
        (3, "paul", "superseded"),
        (8, "paul", "repeated"),
    ]
    low = [message for message in home.messages if message.alert.startswith("low~")]
    assert (low[1].kind, low[1].replaces) == (Kind.SUPERSEDED, "r")


def test_two_alerts_of_one_moment_are_one_page_for_the_worse(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL,), DEFAULT)
    home.says(opened("low", WARNING), opened())
    home.at(0)
    assert [message.title for message in home.messages] == ["Urgent low"]


def test_when_the_worse_ends_and_nobody_has_answered_the_lesser_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL,), DEFAULT)
    home.says(opened("low", WARNING), opened())
    home.at(0)
    home.says(cleared(at=4))
    home.until(30)
    assert [(m.title, str(m.kind)) for m in home.messages] == [
        ("Urgent low", "opened"),
        ("Urgent low", "cleared"),
        ("Low", "opened"),
    ]


def test_who_has_acknowledged_the_worse_is_not_told_of_the_lesser(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL,), DEFAULT)
    home.says(opened("low", WARNING), opened())
    home.at(0)
    home.says(acknowledged(at=2))
    home.at(2)
    home.says(cleared(at=4))
    home.until(200)
    assert [(m.title, str(m.kind)) for m in home.messages] == [("Urgent low", "opened"), ("Urgent low", "cleared")]


def test_the_lesser_is_told_to_those_whom_the_worse_does_not_reach(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL, ANNA))
    home.says(opened("low", WARNING), opened())
    home.lists[PAUL.lane] = ListChannel("paul", script=[Failed("list: blocked")] * 10)
    home.until(1)
    assert {who for _, who, _ in home.kinds()} == {"anna"}


# people


def test_an_alert_that_takes_anothers_place_keeps_its_answer_and_its_timers(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    home.at(0)
    home.says(acknowledged(at=1))
    home.at(1)
    earlier = opened(at=-3)
    append(home.log, earlier, change("retracted", onset_us=NOW, replaced_by=earlier.id))
    home.until(31)
    assert home.kinds() == [(0, "paul", "opened"), (31, "paul", "repeated")]
    assert home.messages[1].alert == earlier.id
    assert home.box.deliveries(earlier.id)[0].recipient == "paul"
    assert Lane("list", "paul") == PAUL.lane


def test_who_was_low_while_their_phone_was_offline_and_still_is_pages_as_of_now(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened(at=-40))
    home.newest = -20.0  # the phone is still telling what it kept
    home.at(0)
    home.newest = 0.5
    home.until(1.5)
    home.restart(gently=False)
    home.until(7)
    home.says(cleared(onset=-40, at=7))
    home.until(90)
    assert home.kinds() == [(1, "paul", "opened"), (6, "paul", "repeated"), (7, "paul", "cleared")]


@pytest.mark.parametrize("newest", [None, -41.0, -30.5])
def test_what_no_young_reading_shows_to_go_on_stays_history(tmp_path: Path, newest: float | None) -> None:
    home = Home(tmp_path)
    home.says(opened(at=-40))
    home.newest = newest
    home.until(90)
    assert home.told == []


def test_an_old_alert_that_ends_within_a_minute_pages_nobody(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened(at=-40))
    home.newest = 0.0
    home.until(0.9)
    home.says(cleared(onset=-40, at=0))
    home.until(90)
    assert home.told == []


def test_an_old_alert_that_somebody_has_seen_is_not_new_to_them(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened(at=-40), acknowledged(onset=-40, at=0))
    home.newest = 0.0
    home.until(29.9)
    assert home.told == []
    home.newest = 29.0
    home.until(31)
    assert home.kinds() == [(30, "paul", "opened")]


@pytest.mark.parametrize(("minutes", "pages"), [(60, 1), (90, 1), (91, 0)])
def test_a_rule_that_waits_an_hour_before_it_speaks_is_not_too_old_then(
    tmp_path: Path, minutes: float, pages: int
) -> None:
    home = Home(tmp_path)
    home.says(opened("sustained", WARNING, at=-minutes))
    home.at(0)
    assert len(home.told) == pages


@pytest.mark.parametrize("restarted", [False, True])
def test_an_alert_goes_on_paging_when_the_clock_was_put_back(tmp_path: Path, restarted: bool) -> None:
    home = Home(tmp_path)
    home.says(opened())
    home.until(6)
    if restarted:
        home.restart(gently=False)
    home.told.clear()
    home.at(-600)
    home.until(-584)
    assert home.kinds() == [
        (-595, "paul", "repeated"),
        (-590, "anna", "opened"),
        (-590, "paul", "repeated"),
        (-585, "paul", "repeated"),
    ]


def test_neither_an_answer_nor_a_pause_grows_longer_when_the_clock_is_put_back(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened(), opened("low", WARNING))
    home.at(0)
    home.says(acknowledged(at=0))
    home.at(0)
    home.box.snooze(opened().id, 30, "paul", minute(0))
    home.told.clear()
    home.at(-600)
    home.until(-569)
    assert home.kinds() == [(-570, "paul", "repeated")]


def test_a_message_that_waits_to_be_tried_again_does_not_wait_for_the_old_clock(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL,))
    home.lists[Lane("list", "paul")] = ListChannel("paul", [RetryAfter(60.0, "busy")])
    home.says(opened())
    home.at(0)
    assert home.told == []
    home.at(-600)
    assert home.kinds() == [(-600, "paul", "opened")]


def test_of_two_old_alerts_that_go_on_the_worse_one_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL,))
    home.says(opened("low", WARNING, at=-41), opened(at=-40))
    home.newest = 0.0
    home.until(2)
    assert [message.title for message in home.messages] == ["Urgent low"]
