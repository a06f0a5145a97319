"""What the scripts make of readings, asked of the module in a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from islet.model.time import MINUTE_US
from islet.model.units import MG_DL_PER_MMOL_L, glucose_in
from tests.web.browser import (
    WEB,
    browser,
    started,
)

__all__ = ["browser", "started"]  # fixtures


def glucose(page: Page, expression: str, argument: object = None) -> Any:
    """The value of an expression over the module `g` and the argument `a`."""
    script = f"async (a) => {{ const g = await import('/static/glucose.js'); return {expression}; }}"
    return page.evaluate(script, argument)


@pytest.fixture
def bare(browser: Browser) -> Iterator[Page]:
    """A page with the scripts at hand, and no server."""
    page = browser.new_page()
    page.route("**/*", lambda route: route.fulfill(path=WEB / route.request.url.removeprefix("http://islet.test/")))
    page.goto("http://islet.test/static/logo.svg")
    yield page
    page.close()


def points(values: list[float], every_min: float = 5) -> dict[str, list[float]]:
    return {
        "time_us": [i * every_min * MINUTE_US for i in range(len(values))],
        "glucose_tenths": [value * 10 for value in values],
        "range": [0] * len(values),
    }


def test_the_trend_has_seven_levels_at_one_two_and_three_per_minute(bare: Page) -> None:
    rates = [-3, -2.99, -2, -1.99, -1, -0.99, 0, 0.99, 1, 1.99, 2, 2.99, 3]
    series = [points([150 + rate * 5 * i for i in range(4)]) for rate in rates]
    names = glucose(bare, "a.map((one) => g.trend(new g.Points(one)))", series)
    falling = ["double_down", "down", "down", "slight_down", "slight_down", "flat"]
    rising = ["flat", "slight_up", "slight_up", "up", "up", "double_up"]
    assert names == [*falling, "flat", *rising]
    assert glucose(bare, "g.trend(new g.Points(a))", points([100])) == "unknown"
    assert glucose(bare, "g.trend(new g.Points(a))", points([100, 120], every_min=16)) == "unknown"


def test_zones_have_their_bounds(bare: Page) -> None:
    limits = {"low_mg_dl": 70, "high_mg_dl": 180}
    values = [53.9, 54, 69.9, 70, 180, 180.1, 250, 250.1]
    names = glucose(bare, "a.values.map((v) => g.zone(v * 10, a.limits))", {"values": values, "limits": limits})
    assert names == ["very_low", "low", "low", "target", "target", "high", "high", "very_high"]


def test_a_line_is_drawn_over_two_missed_samples_but_not_over_three(bare: Page) -> None:
    minutes = [0, 5, 10, 25, 30, 50, 55]
    series = {"time_us": [m * MINUTE_US for m in minutes], "glucose_tenths": [1000] * 7, "range": [0] * 7}
    assert glucose(bare, "g.runs(new g.Points(a))", series) == [[0, 5], [5, 7]]


def test_late_and_double_readings_keep_the_points_in_order(bare: Page) -> None:
    script = (
        "(() => { const p = new g.Points(); const added = a.map(([t, v]) => p.add(t, v, 0));"
        " return [added, p.time, p.glucose]; })()"
    )
    assert glucose(bare, script, [[20, 2], [10, 1], [30, 3], [20, 9]]) == [
        [True, True, True, False],
        [10, 20, 30],
        [1, 2, 3],
    ]


def test_values_are_shown_alike_in_python_and_in_the_browser(bare: Page) -> None:
    tenths = [value * 10 for value in range(20, 600)]
    browsers = glucose(bare, f"a.map((v) => g.shown(v, 'mmol/L', {MG_DL_PER_MMOL_L}))", tenths)
    assert browsers == [f"{glucose_in('mmol/L', value / 10):.1f}" for value in tenths]
