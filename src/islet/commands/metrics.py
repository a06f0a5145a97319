"""`islet metrics`: the measures of people's glucose from files, without a platform that runs."""

import json
import math
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from islet.commands.metrics_files import Rows, read_rows
from islet.errors import BadInput, NotFound
from islet.metrics.episodes import Episodes, summarised
from islet.metrics.people import People, people_of
from islet.metrics.profile import percentile_profile
from islet.metrics.profile_picture import profile_svg
from islet.metrics.ranges import PRESETS, Goals, above_percent, below_percent, in_range_percent
from islet.metrics.table import MAGE_ALGORITHM, METRICS, WITHHELD, Material, measured
from islet.model.time_zones import named_zone

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_PICTURE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON document of everything, also episodes and goals.")
@click.option(
    "--unit", default="mg/dL", show_default=True, type=click.Choice(["mg/dL", "mmol/L"]), help="Of CSV files."
)
@click.option("--zone", default="UTC", show_default=True, help="Where days begin, for times that have an offset.")
@click.option("--goals", default="standard", show_default=True, type=click.Choice(list(PRESETS)), help="Whose goals.")
@click.option("--person", metavar="ID", help="Only this person of those in FILE.")
@click.option("--picture", type=_PICTURE, help="Write one person's percentile profile of the day here, as SVG.")
@click.option("--tell-all", is_flag=True, help="Tell GMI also below 14 days or 70 % of readings, to compare programs.")
def metrics(
    files: tuple[Path, ...],
    as_json: bool,
    unit: str,
    zone: str,
    goals: str,
    person: str | None,
    picture: Path | None,
    tell_all: bool,
) -> None:
    """Measures of glucose of everybody in FILE: a CSV with the columns id, time, gl, or a Shanghai workbook."""
    where = named_zone(zone, "--zone")
    people = _people([read_rows(file, zone=where, unit=unit) for file in files])
    if person is not None:
        people = _only(people, person)
    if picture is not None:
        picture.write_text(_profile(people, PRESETS[goals], unit), encoding="utf-8")
    material = Material(people)
    if as_json:
        click.echo(json.dumps(document(material, PRESETS[goals], tell_all=tell_all), ensure_ascii=False))
        return
    for line in _lines(material, tell_all):
        click.echo(line)


def document(material: Material, goals: Goals, *, tell_all: bool) -> dict[str, Any]:
    """Everything about everybody; null where there is no value."""
    people, values = material.people, measured(material, tell_all=tell_all)
    kinds = {name: getattr(material.episodes, name) for name in material.episodes.__slots__}
    sums = {name: summarised(found, material.judged_grid) for name, found in kinds.items()}
    shares = _shares(people, goals)
    enough = material.sufficiency
    return {
        "mage_algorithm": MAGE_ALGORITHM,
        "people": [
            {
                "id": id,
                "sufficiency": {
                    name: _plain(getattr(enough, name)[index])
                    for name in (
                        *("readings", "step_min", "days_worn", "active_percent", "window_active_percent"),
                        "enough",
                    )
                },
                "from": _clock(people, index, 0),
                "to": _clock(people, index, -1),
                "metrics": {name: _plain(column[index]) for name, column in values.items()},
                "gri_zone": str(material.gri.zone[index]) or None,
                "withheld": {} if tell_all or enough.enough[index] else WITHHELD,
                "goals": {"name": goals.name, **{name: _goal(*one, index) for name, one in shares.items()}},
                "episodes": {
                    name: {
                        "count": int(sums[name].count[index]),
                        "per_day": _plain(sums[name].per_day[index]),
                        "mean_minutes": _plain(sums[name].mean_minutes[index]),
                        "mean_mg_dl": _plain(sums[name].mean_mg_dl[index]),
                        "each": _each(found, index),
                    }
                    for name, found in kinds.items()
                },
            }
            for index, id in enumerate(people.ids)
        ],
    }


def _people(files: list[Rows]) -> People:
    """The people of all files; the same id in two files is one person. Units may differ only between files."""
    units = {rows.unit for rows in files if rows.ids}
    if len(units) > 1:
        raise BadInput("all files of one call need one unit; workbooks are in mg/dL", reason="unit")
    return people_of(
        [id for rows in files for id in rows.ids],
        np.concatenate([rows.clock_us for rows in files]),
        np.concatenate([rows.glucose for rows in files]),
        unit=units.pop() if units else "mg/dL",
    )


def _only(people: People, id: str) -> People:
    if id not in people.ids:
        raise NotFound(f"there is no person {id[:40]!r} in these files")
    return people.one(people.ids.index(id))


def _profile(people: People, goals: Goals, unit: str) -> str:
    if len(people) != 1:
        raise click.UsageError("a picture is of one person; say which with --person ID")
    smooth = percentile_profile(people).smooth_mg_dl[0]
    return profile_svg(smooth, goals, title=f"Percentile profile: {people.ids[0]}", nothing="No readings", unit=unit)


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


def _lines(material: Material, tell_all: bool) -> list[str]:
    """A table for a terminal: a line a metric, a column a person."""
    values = measured(material, tell_all=tell_all)
    names = [metric.name for metric in METRICS]
    wide = max(len(name) for name in names)
    heads = [id[:14] for id in material.people.ids]
    shown = [f"{'':{wide}}  " + "  ".join(f"{head:>14}" for head in heads)]
    enough = material.sufficiency
    for name, column in (("days_worn", enough.days_worn), ("active_percent", enough.active_percent)):
        shown.append(_line(name, wide, column))
    shown += [_line(name, wide, values[name]) for name in names]
    if not tell_all and not enough.enough.all():
        shown += [f"{name} is not told where there is too little: it {reason}" for name, reason in WITHHELD.items()]
    return [*shown, f"MAGE: {MAGE_ALGORITHM}"]


def _line(name: str, wide: int, column: Any) -> str:
    return f"{name:{wide}}  " + "  ".join(f"{'–':>14}" if math.isnan(value) else f"{value:>14.3f}" for value in column)


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
