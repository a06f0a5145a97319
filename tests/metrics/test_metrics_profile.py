"""The percentile profile has others' values, and its picture shows what is there and no more."""

import csv
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from islet.metrics.people import People, every
from islet.metrics.profile import PERCENTILES, percentile_profile
from islet.metrics.profile_picture import profile_svg
from islet.metrics.ranges import STANDARD
from tests.metrics.traces import five_people


@pytest.mark.parametrize("person", [0, 1, 2])
def test_profiles_are_those_of_the_reference(shared_data: Path, person: int) -> None:
    """Hourly bins, type-7 percentiles, circular 1-4-1 smoothing: computed by another program from iglu's people."""
    profile = percentile_profile(five_people(shared_data))
    with (shared_data / "iglu" / f"agp_hourly_141_Subject_{person + 1}.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 24
    for hour, row in enumerate(rows):
        assert profile.readings[person, hour] == int(row["n"])
        for place, percent in enumerate(PERCENTILES):
            assert profile.measured_mg_dl[person, hour, place] == pytest.approx(
                float(row[f"raw_p{percent:02}"]), rel=1e-9
            )
            assert profile.smooth_mg_dl[person, hour, place] == pytest.approx(
                float(row[f"smooth_p{percent:02}"]), rel=1e-9
            )


def test_an_hour_without_readings_stays_empty_and_does_not_spread() -> None:
    people = every(30, [100.0] * 4 + [float("nan")] * 2 + [130.0] * 42)
    profile = percentile_profile(people)
    assert np.isnan(profile.smooth_mg_dl[0, 2]).all()
    assert profile.smooth_mg_dl[0, 1].tolist() == [100.0] * 5
    assert profile.smooth_mg_dl[0, 3].tolist() == pytest.approx([130.0] * 5)


def picture(people: People) -> ElementTree.Element:
    smooth = percentile_profile(people).smooth_mg_dl[0]
    return ElementTree.fromstring(profile_svg(smooth, STANDARD, title='A & "B"', nothing="No readings"))


def shapes(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [one for one in root.iter() if one.get("class") == name]


def test_a_full_day_is_one_line_from_edge_to_edge() -> None:
    (median,) = shapes(picture(every(5, [120.0] * 288)), "median")
    points = [one.split(",") for one in str(median.get("points")).split()]
    assert (points[0][0], points[-1][0]) == ("56.0", "696.0")
    assert len({y for _, y in points}) == 1


def test_a_gap_parts_the_line_and_nothing_is_drawn_for_nobody() -> None:
    assert len(shapes(picture(every(60, [120.0] * 3 + [float("nan")] * 6 + [90.0] * 6)), "median")) == 2
    empty = picture(every(5, [float("nan")]))
    assert shapes(empty, "median") == []
    assert "No readings" in [one.text for one in empty.iter()]
