"""Errors of every row on the windows of every published row, and the comparison with the best of them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.forecast.members import Fitted, blended
from benchmarks.forecast.protocol import Config, Split
from benchmarks.forecast.seen import People, people_of
from islet.forecast.baselines import ar2, damped_slope, persistence
from islet.forecast.blend import errors, figures
from islet.forecast.features import filled
from islet.forecast.network import Array
from islet.forecast.train import rows
from islet.forecast.windows import Part, Windows, windows

STRIDE: Final = 6  # of the published linear rows
GROUPS: Final = {"10-19": tuple(range(10, 20)), "1-2": (1, 2)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The figures (MSE, MAE, median MSE, median MAE) of one row on one set's windows of one seed."""

    name: str
    part: str
    seed: int
    window_set: str
    row: str
    windows: int
    figures: tuple[float, ...]


def window_sets(config: Config, seed: int) -> dict[str, tuple[int, int]]:
    """Name -> (point of the first target, stride), as the published rows of that group of seeds had them.

    ARIMA left out the first; the deep rows began as soon as their input was full, which reaches into the validation span.
    """
    linear = {"linear": (config.most_input, STRIDE)}
    if seed in GROUPS["10-19"]:
        return linear | {"arima": (config.most_input + STRIDE, STRIDE)}
    return linear | {f"deep {k}": (k, 1) for k in config.deep_inputs}


def forecasts(
    fitted: Fitted, shares: Mapping[str, Mapping[str, float]], found: Windows, causal: Windows, people: People
) -> dict[str, Array]:
    """What every row makes of the windows of those people, (n, 12) mg/dL each."""
    known = filled(found.history)
    made = {"persistence": persistence(known), "damped slope": damped_slope(known), "AR2": ar2(known)}
    seen, now = rows(found).x, found.history[:, -1]
    made["ridge on lags"] = fitted.path("own ridge", seen, now)
    for row, share in shares.items():
        made[row] = blended(fitted, share, seen, now, people)
    made["pooled, causal"] = blended(fitted, shares["pooled"], rows(causal).x, causal.history[:, -1], people)
    return made


def measure(
    name: str, config: Config, parts: Split, seed: int, fitted: Fitted, shares: Mapping[str, Mapping[str, float]]
) -> Iterable[Found]:
    """All rows on all windows of a seed."""
    sets = window_sets(config, seed)
    begin, stride = min(s for s, _ in sets.values()), math.gcd(*(s for _, s in sets.values()), STRIDE)
    for part, some in (("id", parts.test), ("ood", parts.out)):
        every = windows(some, start=begin, stride=stride)
        causal = windows(some, start=begin, stride=stride, causal=True)
        made = forecasts(fitted, shares, every, causal, people_of(every, some))
        place = _first_target(every, some)
        for window_set, (start, step) in sets.items():
            chosen = (place >= start) & ((place - start) % step == 0)
            for row, path in made.items():
                found = figures(errors(path[chosen], every.target[chosen]))
                yield Found(
                    name=name, part=part, seed=seed, window_set=window_set, row=row,
                    windows=int(chosen.sum()), figures=tuple(float(v) for v in found),
                )  # fmt: skip


def _first_target(found: Windows, parts: list[Part]) -> np.ndarray:
    """Place of each window's first target within its part."""
    begins = np.array([p.begin for p in parts], np.int64)
    place: np.ndarray = found.origin + 1 - begins[found.part]
    return place


def cell(
    found: list[Found], name: str, group: str, window_set: str, row: str, which: str
) -> tuple[float, float] | None:
    """(RMSE, MAE) of a cell: averaged over the seeds of the group, the root taken last; None before all are there."""
    part, by = which.split()
    seeds = [
        f.figures[:2] if by == "mean" else f.figures[2:]
        for f in found
        if (f.name, f.part, f.window_set, f.row) == (name, part, window_set, row) and f.seed in GROUPS[group]
    ]
    if not seeds:
        return None
    squared, absolute = np.mean(seeds, axis=0)
    return math.sqrt(squared), float(absolute)
