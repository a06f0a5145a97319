"""Every prompt of every local day comes once, also when the clocks change."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.agent.schedule import Prompts, check_prompts, due_between
from islet.errors import BadInput
from islet.model.time import DAY_US, from_us, to_us

ZONES = ("UTC", "Europe/Vienna", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe", "Pacific/Apia")
START_US = to_us(datetime(2026, 1, 1, tzinfo=UTC))


@settings(max_examples=50)
@given(
    st.sampled_from(ZONES),
    st.sets(st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=5),
    st.lists(st.integers(1, 40 * 86_400), min_size=1, max_size=20),
    st.integers(0, 330),
)
def test_however_often_it_is_looked_each_is_found_once_and_in_order(
    zone: str, times: set[str], cuts: list[int], day: int
) -> None:
    prompts = Prompts(times=tuple(times), time_zone=zone)
    begin_us = START_US + day * DAY_US
    end_us = begin_us + 40 * DAY_US
    looks = [begin_us, *sorted(begin_us + cut * 1_000_000 for cut in cuts), end_us]
    pieces = [one for a, b in itertools.pairwise(looks) for one in due_between(prompts, a, b)]
    assert pieces == due_between(prompts, begin_us, end_us)
    days = {one.id[:10] for one in pieces}
    assert len(pieces) <= len(times) * len(days) and len({one.id for one in pieces}) == len(pieces)
    for one in pieces:
        local = from_us(one.at_us).astimezone(ZoneInfo(zone))
        asked = datetime.fromisoformat(one.id)
        assert timedelta(0) <= local.replace(tzinfo=None) - asked <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-03-28", ["01:30"]), ("2026-03-29", ["01:30"]), ("2026-10-24", ["00:30"]), ("2026-10-25", ["00:30"])],
)
def test_the_nights_on_which_the_clocks_change_in_vienna(day: str, expected: list[str]) -> None:
    """02:30 does not exist on 2026-03-29 (it is 03:30 then), and comes twice on 2026-10-25."""
    begin_us = to_us(datetime.fromisoformat(f"{day}T00:00:00+00:00")) - 2 * 3_600_000_000
    found = due_between(Prompts(times=("02:30",), time_zone="Europe/Vienna"), begin_us, begin_us + DAY_US)
    assert [from_us(one.at_us).strftime("%H:%M") for one in found] == expected


@pytest.mark.parametrize(
    "wrong",
    [
        Prompts(times=("8:00",)),
        Prompts(times=("24:00",)),
        Prompts(times=("08:00",) * 25),
        Prompts(time_zone="Mars"),
        Prompts(answer_min=0),
        Prompts(answered_by="guess"),
    ],
)
def test_what_is_no_schedule_is_refused(wrong: Prompts) -> None:
    with pytest.raises(BadInput):
        check_prompts(wrong)
