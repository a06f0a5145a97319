"""Pictures of what a rule found, and what is told of them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np

from islet.commands.picture import Scene, Stretch, drawn, svg
from islet.model.alerts import Severity
from islet.model.time import DAY_US, HOUR_US, MINUTE_US

_MONDAY_US = 1_774_828_800_000_000 + 22 * HOUR_US  # 2026-03-31 00:00 in Vienna


def _scene(stretches: Sequence[tuple[int, int]]) -> Scene:
    """Two days of a value an hour from noon of the first on; episodes by hours from its midnight."""
    times_us = _MONDAY_US + np.arange(12, 48) * HOUR_US
    return Scene(
        title="High & flat",
        subtitle="",
        times_us=times_us,
        values=np.full(len(times_us), 200.0),
        band=(70, 180),
        stretches=[
            Stretch(onset_us=_MONDAY_US + a * HOUR_US, end_us=_MONDAY_US + b * HOUR_US, severity=Severity.WARNING)
            for a, b in stretches
        ],
        from_us=_MONDAY_US,
        to_us=_MONDAY_US + 2 * DAY_US,
        zone=ZoneInfo("Europe/Vienna"),
    )


def test_an_episode_that_ends_at_midnight_is_no_part_of_the_next_day() -> None:
    assert svg(_scene([(22, 24)])).count('class="shade"') == 1
    assert svg(_scene([(22, 25)])).count('class="shade"') == 2
    assert sum("━" in line for line in drawn(_scene([(22, 24)]))) == 1
    assert svg(_scene([(24, 24)])).count('class="shade"') == 1, "one without a length is where it is"


def test_an_episode_is_told_by_the_clock_of_its_axis() -> None:
    titles = re.findall("<title>(.*)</title>", svg(_scene([(13, 15)])))
    assert titles == ["2026-03-31 13:00 to 2026-03-31 15:00"]


def test_how_often_is_told_of_the_days_since_the_first_value() -> None:
    assert _scene([]).days_seen == 1.5


def test_a_scene_without_a_range_to_aim_for_has_numbers_beside_it() -> None:
    pulse = replace(_scene([]), band=None, values=np.linspace(60, 120, 36))
    assert re.findall('text-anchor="end">([0-9]+)<', svg(pulse))[:2] == ["60", "120"]


def test_a_scene_without_values_is_drawn_too() -> None:
    empty = _scene([])
    bare = Scene(
        title="x",
        subtitle="",
        times_us=empty.times_us[:0],
        values=empty.values[:0],
        band=None,
        stretches=[],
        from_us=_MONDAY_US,
        to_us=_MONDAY_US + 5 * MINUTE_US,
        zone=empty.zone,
    )
    assert "polyline" not in svg(bare)
    assert len(drawn(bare)) == 2
