"""Reports as pages: one file each, without scripts, fonts or anything else from elsewhere; they print on A4."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from islet.reports import texts
from islet.reports.charts.bands import bands_picture, days_picture
from islet.reports.charts.day import day_picture, days_scale, legend, most_on_board
from islet.reports.charts.profile import profile_picture
from islet.reports.charts.trend import trend_picture
from islet.reports.document import Found, Programme, Report, SevenDay
from islet.reports.jinja import environment
from islet.reports.voice import Voice

STYLE: Final = (Path(__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""For a page that is served: its own style sheet, and nothing else."""

WHOLE_DAY_H: Final = 24.0
_SHOWN_EPISODES: Final = 40
_SHOWN_LOWS: Final = 4
_SHOWN_ADVICE: Final = 2
"""On the patient's page; the last page has all, with what they rest on."""


def seven_day_html(report: SevenDay, voice: Voice) -> str:
    """The patient's page, the doctor's page, and a page of what these rest on."""
    low, high = report.low_mg_dl, report.high_mg_dl
    scale, most = days_scale(report.days, low, high), most_on_board(report.days)
    lows = [one for one in report.episodes if one.kind.endswith("low")]
    values = {
        "bands": _bands(report, voice),
        "week": days_picture(report.days, voice),
        "profile": profile_picture(report.profile, low, high, voice, "profile-zones"),
        "doctors_profile": profile_picture(report.profile, low, high, voice, "doctors-profile-zones"),
        "days": [day_picture(day, place, scale, most, voice) for place, day in enumerate(report.days)],
        "legend": legend(voice),
        "acts": any(day.acts for day in report.days),
        "on_board": any(day.on_board for day in report.days),
        "lows": lows,
        "shown_lows": lows[:_SHOWN_LOWS],
        "night_lows": sum(one.night for one in lows),
        "kinds": Counter(one.kind for one in report.episodes),
        "episodes": report.episodes[:_SHOWN_EPISODES],
        "more_episodes": max(0, len(report.episodes) - _SHOWN_EPISODES),
        "shown_advice": _SHOWN_ADVICE,
        "best": texts.best_day(report),
        "compared": len(texts.full_days(report)),
    }
    return _page("seven_day.html", report, voice, values)


def programme_html(report: Programme, voice: Voice) -> str:
    """The page of three months."""
    values = {
        "trend": trend_picture(report, voice),
        "bands": _bands(report, voice),
        "changes": [(report.phases[place], report.phases[place - 1] if place else None) for place in range(3)],
    }
    return _page("programme.html", report, voice, values)


def _bands(report: Report, voice: Voice) -> str:
    """Readings that make less than a day say nothing of how long a day."""
    return bands_picture(report.bands, voice, a_day=report.sufficiency.hours >= WHOLE_DAY_H)


def _page(template: str, report: Report, voice: Voice, values: dict[str, Any]) -> str:
    shared = {
        "report": report,
        "v": voice,
        "t": texts,
        "language": voice.language,
        "style": STYLE,
        "goal_name": lambda goal: texts.goal_name(goal, report.low_mg_dl, report.high_mg_dl, voice),
        "goal_bound": lambda goal: texts.goal_bound(goal, voice),
        "said": _said(voice),
        "risks": _of_kind(report.found, "risk"),
        "moved": _of_kind(report.found, "moved"),
        "advice": _of_kind(report.found, "advice"),
    }
    return _environment(voice.translations).get_template(template).render(shared | values)


def _said(voice: Voice) -> Callable[[str, str], str]:
    """The words of a table of `texts.py`, by its name and the key."""
    return lambda table, key: voice.text(getattr(texts, table)[key])


def _of_kind(found: tuple[Found, ...], kind: str) -> list[Found]:
    return [one for one in found if one.kind == kind]


_environment = cache(partial(environment, "islet.reports"))
