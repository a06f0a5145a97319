"""A model from recordings: people are divided into those it learns from, those it is calibrated on, and those it is judged by.

Nobody is in two of these groups, so what the card says was found on people whom the model has never seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from islet.errors import BadInput
from islet.forecast.baselines import apply_lines, fit_ridge, persistence
from islet.forecast.blend import blend
from islet.forecast.calibration import margins
from islet.forecast.features import filled, unit
from islet.forecast.grid import Segment
from islet.forecast.model import Model, plain_margins
from islet.forecast.network import MEDIAN, PATH, QUANTILES, Array
from islet.forecast.risk import fit_lines, plain_lines
from islet.forecast.train import Progress, Recipe, Rows, fit_least_absolute, predict, rows, shortened, train
from islet.forecast.windows import HORIZON, Part, Windows, windows

LEAST_PEOPLE: Final = 10
_SHARES: Final = (0.6, 0.2)  # learnt from, calibrated on; the rest judges
_LEARNT_SHARE: Final = 0.8  # of the time of those it learns from; the rest of it calibrates too
_SHORTEST: Final = 12  # points of a window's past
_EVALUATION_STRIDE: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """Recordings of the three groups."""

    learn: list[Segment]
    calibrate: list[Segment]
    judge: list[Segment]


def divide(found: Sequence[Segment], seed: int) -> People:
    """The groups, drawn by the seed, in the same shares from every source ("source/id"; one source if there is no slash).

    Raises BadInput with fewer than ten people.
    """
    people = sorted({s.person for s in found})
    if len(people) < LEAST_PEOPLE:
        raise BadInput(f"training needs recordings of at least {LEAST_PEOPLE} people, got {len(people)}", reason="data")
    sources: dict[str, list[str]] = {}
    for person in people:
        sources.setdefault(person.rpartition("/")[0], []).append(person)
    rng = np.random.default_rng(seed)
    group: dict[str, int] = {}
    for own in sources.values():
        places = (np.arange(len(own)) + 0.5) / len(own)
        for person, place in zip(rng.permutation(own).tolist(), places, strict=True):
            group[person] = int(np.searchsorted(np.cumsum(_SHARES), place))
    learn, calibrate, judge = ([s for s in found if group[s.person] == k] for k in range(3))
    return People(learn=learn, calibrate=calibrate, judge=judge)


def by_time(found: Sequence[Segment]) -> tuple[list[Segment], list[Segment]]:
    """The first four fifths of each person's points, and the rest."""
    early: list[Segment] = []
    late: list[Segment] = []
    points: dict[str, int] = {}
    for segment in found:
        points[segment.person] = points.get(segment.person, 0) + len(segment)
    passed = dict.fromkeys(points, 0)
    for segment in found:
        cut = min(max(int(_LEARNT_SHARE * points[segment.person]) - passed[segment.person], 0), len(segment))
        passed[segment.person] += len(segment)
        early += [segment.between(0, cut)] if cut else []
        late += [segment.between(cut, len(segment))] if cut < len(segment) else []
    return early, late


def live_windows(found: Sequence[Segment], stride: int) -> Windows:
    """Windows as they are met live: with a reading at the newest point, and nothing from after it."""
    return windows(
        [Part(segment=s, begin=0, end=len(s)) for s in found],
        start=_SHORTEST,
        stride=stride,
        causal=True,
        at_readings=True,
    )


def fit_model(people: People, recipe: Recipe, seed: int, *, stride: int = 1, progress: Progress | None = None) -> Model:
    """A model without its card.

    The blend, the margins and the lines of the risks come from those calibrated on and from the last fifth of the time
    of those learnt from, which it has not learnt: how often a risk comes differs between people more than anything
    else, so that it takes as many of them as there are.
    """
    early, late = by_time(people.learn)
    learnt = rows(shortened(live_windows(early, stride), recipe.cut_share, seed))
    network = train(learnt, recipe, seed, progress=progress)
    target = learnt.moves * unit(learnt.x)
    ridge = fit_ridge(learnt.x, target, 100.0)
    lad = fit_least_absolute(learnt, ridge, seed=seed)
    seen = live_windows([*people.calibrate, *late], _EVALUATION_STRIDE)
    held = rows(seen)
    moves = seen.target - seen.history[:, -1:]
    path = predict(network, held.x)[:, :PATH].reshape(len(held), HORIZON, len(QUANTILES))[:, :, MEDIAN] * unit(held.x)
    members = {"network": path, "ridge": apply_lines(ridge, held.x), "lad": apply_lines(lad, held.x)}
    shares = blend(members, moves, persistence(filled(seen.history)) - seen.history[:, -1:])
    model = Model(
        networks=(network,),
        share=shares["network"],
        lines=(np.float32(shares["ridge"]) * ridge + np.float32(shares["lad"]) * lad).astype(np.float32),
        margins=plain_margins(),
        risk_lines=plain_lines(),
    )
    return calibrated(model, held, moves)


def calibrated(model: Model, held: Rows, moves_mg_dl: Array) -> Model:
    """The model with margins and lines of the risks from rows that it has not learnt from."""
    sure = replace(model, margins=margins(model, held.x, moves_mg_dl))
    return replace(sure, risk_lines=fit_lines(sure.risk_inputs(held.x), held.happened))


def counted(people: People) -> Mapping[str, dict[str, int]]:
    """Source -> how many people learn, calibrate, judge, and how many points there are."""
    out: dict[str, dict[str, int]] = {}
    for group, some in (("learn", people.learn), ("calibrate", people.calibrate), ("judge", people.judge)):
        for person in sorted({s.person for s in some}):
            source = out.setdefault(
                person.rpartition("/")[0] or "all", {"learn": 0, "calibrate": 0, "judge": 0, "points": 0}
            )
            source[group] += 1
            source["points"] += sum(len(s) for s in some if s.person == person)
    return out
