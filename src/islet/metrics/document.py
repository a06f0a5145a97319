"""Everything that the metrics say of people as one document, ready for JSON: numbers, goals, episodes, definitions."""

import math
from typing import Any, Final

import numpy as np

from islet.metrics.definitions import DEFINITIONS
from islet.metrics.episodes import Episodes, summarised
from islet.metrics.people import People
from islet.metrics.ranges import Goals, above_percent, below_percent, in_range_percent
from islet.metrics.table import MAGE_ALGORITHM, WITHHELD, Material, measured

_ENOUGH: Final = ("readings", "step_min", "days_worn", "active_percent", "window_active_percent", "enough")


def document(material: Material, goals: Goals, *, tell_all: bool) -> dict[str, Any]:
    """Everything about everybody; null where there is no value, as for episodes where readings are too far apart."""
    values = measured(material, tell_all=tell_all)
    kinds = {name: getattr(material.episodes, name) for name in material.episodes.__slots__}
    sums = {name: summarised(found, material.judged_grid) for name, found in kinds.items()}
    shares = _shares(material.people, goals)
    enough = material.sufficiency
    return {
        "mage_algorithm": MAGE_ALGORITHM,
        "definitions": {name: {"is": said, "source": source or None} for name, (said, source) in DEFINITIONS.items()},
        "people": [
            {
                "id": id,
                "sufficiency": {name: _plain(getattr(enough, name)[index]) for name in _ENOUGH},
                "from": _clock(material.people, index, 0),
                "to": _clock(material.people, index, -1),
                "metrics": {name: _plain(column[index]) for name, column in values.items()},
                "gri_zone": str(material.gri.zone[index]) or None,
                "withheld": {} if tell_all or enough.enough[index] else WITHHELD,
                "goals": {"name": goals.name, **{name: _goal(*one, index) for name, one in shares.items()}},
                "episodes": {
                    name: {
                        "count": int(sums[name].count[index]) if material.judged_grid.step_min[index] else None,
                        "per_day": _plain(sums[name].per_day[index]),
                        "mean_minutes": _plain(sums[name].mean_minutes[index]),
                        "mean_mg_dl": _plain(sums[name].mean_mg_dl[index]),
                        "each": _each(found, index),
                    }
                    for name, found in kinds.items()
                },
            }
            for index, id in enumerate(material.people.ids)
        ],
    }


_Share = tuple[Any, str, "float | None"]


def _shares(people: People, goals: Goals) -> dict[str, _Share]:
    """The shares (p,) of a preset, whether more or less of it is aimed at, and the bound."""
    low, high = goals.low_mg_dl, goals.high_mg_dl
    return {
        f"in_range_{low:g}_{high:g}_percent": (in_range_percent(people, low, high), "over", goals.in_range_over),
        f"below_{low:g}_percent": (below_percent(people, low), "under", goals.below_low_under),
        "below_54_percent": (below_percent(people, 54.0), "under", goals.below_54_under),
        f"above_{high:g}_percent": (above_percent(people, high), "under", goals.above_high_under),
        "above_250_percent": (above_percent(people, 250.0), "under", goals.above_250_under),
    }


def _goal(shares: Any, aim: str, bound: float | None, index: int) -> dict[str, Any]:
    share = _plain(shares[index])
    if bound is None or share is None:
        return {"value": share, aim: bound, "met": None}
    return {"value": share, aim: bound, "met": share > bound if aim == "over" else share < bound}


def _each(found: Episodes, index: int) -> list[dict[str, Any]]:
    begin, end = np.searchsorted(found.person, (index, index + 1))
    return [
        {
            "from": _iso(found.begin_us[row]),
            "minutes": int(found.minutes[row]),
            "extreme_mg_dl": _plain(found.extreme_mg_dl[row]),
        }
        for row in range(begin, end)
    ]


def _clock(people: People, index: int, place: int) -> str | None:
    rows = people.clock_us[people.offsets[index] : people.offsets[index + 1]]
    return _iso(rows[place]) if len(rows) else None


def _iso(clock_us: Any) -> str:
    """Wall clock without an offset, to the second."""
    return str(np.datetime64(int(clock_us), "us").astype("datetime64[s]"))


def _plain(value: Any) -> float | int | bool | None:
    """A NumPy number as JSON has it; null for NaN."""
    plain: float | int | bool = value.item()
    return None if isinstance(plain, float) and math.isnan(plain) else plain
