"""GlucoBench's protocol: how a file becomes segments, and segments the parts of one seed.

Sergazinov et al. 2024, "GlucoBench: Curated List of Continuous Glucose Monitoring Datasets with Prediction Benchmarks"
(ICLR 2024, arXiv:2410.05780) and the authors' repository, whose printed split sizes are the test of this file. Nothing
of their code is used.
"""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from islet.errors import BadInput
from islet.forecast.grid import Segment
from islet.forecast.recordings import Columns, as_number, read_table, recordings
from islet.forecast.windows import Part

OUT_SHARE: Final = 0.1  # of the people, rounded up: out of distribution
_LEAST_MEDIAN_MG_DL: Final = 30.0  # nobody lives with half of their glucose below
_GROUPS: Final = ("10-19", "1-2")
CELLS: Final = ("id mean", "id median", "ood mean", "ood median")
_SETS: Final = Path(__file__).parent / "sets"


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """What GlucoBench's protocol wants to be told about a set. Points are of 5 minutes."""

    title: str
    gap_min: int
    least_points: int
    part_points: int  # length of the validation part and of the test part of a person
    most_input: int  # points that a forecast may look back
    file: str = ""
    drop_ids: Sequence[str] = ()
    drop_rows: Sequence[int] = ()  # counted from 0, the header not included
    id_column: str = "id"
    time_column: str = "time"
    glucose_column: str = "gl"
    deep_inputs: Sequence[int] = (48, 96, 144)  # points that the published deep rows look back; they start there
    published: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    """Group of seeds ("10-19", "1-2") -> cell ("id mean", …) -> the best published [RMSE, MAE] in mg/dL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """The four parts of one seed."""

    train: list[Part]
    validation: list[Part]
    test: list[Part]
    out: list[Part]

    def sizes(self) -> tuple[int, int, int, int]:
        """Points of each part; validation and test are counted with what a forecast looks back, as theirs are."""
        train, validation, test, out = (sum(map(len, p)) for p in (self.train, self.validation, self.test, self.out))
        return train, validation, test, out


def read_config(path: Path) -> Config:
    """A set's facts from TOML; the name of a known set will do. Raises BadInput that names what is wrong."""
    if not path.suffix and not path.exists():
        path = _SETS / f"{path}.toml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in _SETS.glob("*.toml")))
        raise BadInput(f"--config {path}: there is no such file; known by name are {known}", reason="config")
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"--config {path}: not TOML: {error}", reason="config") from error
    allowed = set(Config.__dataclass_fields__)
    if unknown := sorted(set(given) - allowed):
        raise BadInput(
            f"--config {path}: unknown key {unknown[0]!r}; allowed: {', '.join(sorted(allowed))}", reason="config"
        )
    for name in ("gap_min", "least_points", "part_points", "most_input"):
        if not isinstance(given.get(name), int) or given[name] <= 0:
            raise BadInput(
                f"--config {path}: {name} has to be a whole number above 0, got {given.get(name)!r}", reason="config"
            )
    for group, cells in given.get("published", {}).items():
        if group not in _GROUPS or not isinstance(cells, dict) or not all(_is_cell(*cell) for cell in cells.items()):
            raise BadInput(
                f"--config {path}: published.{group}: expected {' or '.join(_GROUPS)}, with some of {', '.join(CELLS)}, each "
                "[RMSE, MAE]",
                reason="config",
            )
    return Config(**{"title": path.stem, **given})


def _is_cell(name: str, errors: object) -> bool:
    return name in CELLS and isinstance(errors, list) and len(errors) == 2 and all(map(_is_number, errors))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_segments(path: Path, config: Config) -> list[Segment]:
    """All segments of a file, by person (in the order of their ids) and time. Raises BadInput with the row's number."""
    rows, ids = set(config.drop_rows), {as_number(str(i)) for i in config.drop_ids}
    columns = Columns(person=config.id_column, time=config.time_column, glucose=config.glucose_column)
    with path.open(newline="", encoding="utf-8-sig") as file:
        people = read_table(file, str(path), columns, skip=lambda row, person: row in rows or as_number(person) in ids)
    values = [value for own in people.values() for _, value in own]
    if values and float(np.median(values)) < _LEAST_MEDIAN_MG_DL:
        raise BadInput(
            f"{path}: half of the readings are below {_LEAST_MEDIAN_MG_DL:g}; expected mg/dL, and this looks like mmol/L: "
            "multiply it by 18.0156",
            reason="unit",
        )
    found = recordings(people, gap_min=config.gap_min, least=config.least_points)
    if not found:
        raise BadInput(f"{path}: no segment has {config.least_points} readings", reason="data")
    return found


def split(found: Sequence[Segment], config: Config, seed: int) -> Split:
    """The parts of a seed: a tenth of the people is out of distribution; of the others, the ends of the last segment."""
    people = list(dict.fromkeys(s.person for s in found))
    chosen = np.random.RandomState(seed).choice(len(people), math.ceil(len(people) * OUT_SHARE), replace=False)
    outside = {people[i] for i in chosen}
    parts = Split(train=[], validation=[], test=[], out=[])
    for person, own in groupby(found, key=lambda s: s.person):
        if person in outside:
            parts.out.extend(Part(segment=s, begin=0, end=len(s)) for s in own)
        else:
            _divide(list(own), config, parts)
    return parts


def _divide(own: Sequence[Segment], config: Config, parts: Split) -> None:
    """The parts of one person who is in the distribution, with all of GlucoBench's cases."""
    part, back = config.part_points, config.most_input
    last = own[-1]
    n = len(last)
    long = n >= back + 3 * part
    if len(own) == 1 and n < back + 2 * part:
        parts.train.append(_tail(last, 0, n))
        return
    parts.train.extend(_tail(s, 0, len(s)) for s in own[:-2])
    if n >= back + 2 * part:
        parts.train.extend(_tail(s, 0, len(s)) for s in own[-2:-1])
        if long:
            parts.train.append(_tail(last, 0, n - 2 * part))
            parts.validation.append(_tail(last, n - 2 * part - back, n - part))
        elif len(own) > 1:
            parts.validation.append(_tail(last, 0, n - part))
        else:
            parts.train.append(_tail(last, 0, n - part))
        parts.test.append(_tail(last, n - part - back, n))
        return
    before = own[-2]
    parts.test.append(_tail(last, 0, n))
    if len(before) >= back + 2 * part:
        parts.train.append(_tail(before, 0, len(before) - part))
        parts.validation.append(_tail(before, len(before) - part - back, len(before)))
    else:
        parts.train.append(_tail(before, 0, len(before)))


def _tail(segment: Segment, begin: int, end: int) -> Part:
    return Part(segment=segment, begin=begin, end=end)
