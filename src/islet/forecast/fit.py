"""A model from recordings: people are divided into those it learns from and those it is judged by.

Nobody is in both groups, so what the card says was found on people whom the model has never seen.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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
from islet.forecast.network import MEDIAN, PATH, QUANTILES, Array, Network
from islet.forecast.risk import fit_lines, plain_lines
from islet.forecast.train import Progress, Recipe, Rows, fit_least_absolute, predict, rows, shortened, train
from islet.forecast.windows import HORIZON, Part, Windows, windows

LEAST_PEOPLE: Final = 10
FOLDS: Final = 4
_FEWEST: Final = 5  # people of a source of whom one judges
_LEARNT_SHARE: Final = 0.8  # of the people of each source; the others judge
_SHORTEST: Final = 12  # points of a window's past
_EVALUATION_STRIDE: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """Recordings of the two groups."""

    learn: list[Segment]
    judge: list[Segment]


def divide(found: Sequence[Segment], seed: int) -> People:
    """The groups, drawn by the seed, in the same shares from every source ("source/id"; one source if there is no slash).

    Raises BadInput with fewer than ten people.
    """
    people = {s.person for s in found}
    if len(people) < LEAST_PEOPLE:
        raise BadInput(f"training needs recordings of at least {LEAST_PEOPLE} people, got {len(people)}", reason="data")
    place = _places(people, seed)
    return People(
        learn=[s for s in found if place[s.person] <= _LEARNT_SHARE],
        judge=[s for s in found if place[s.person] > _LEARNT_SHARE],
    )


def _places(people: Collection[str], seed: int) -> dict[str, float]:
    """Person -> a place between 0 and 1, drawn by the seed, those of each source evenly apart.

    Sources of fewer than _FEWEST people count as one.
    """
    sizes = Counter(person.rpartition("/")[0] for person in people)
    sources: dict[str, list[str]] = {}
    for person in sorted(people):
        source = person.rpartition("/")[0]
        sources.setdefault(source if sizes[source] >= _FEWEST else "", []).append(person)
    rng = np.random.default_rng(seed)
    found: dict[str, float] = {}
    for own in sources.values():
        found |= zip(rng.permutation(own).tolist(), ((np.arange(len(own)) + 0.5) / len(own)).tolist(), strict=True)
    return found


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
    """A model without its card, of all who are learnt from.

    The blend, the margins and the lines of the risks are found on the same people, each as foretold by members that
    have not learnt from them (cross-fitting, in FOLDS parts): how often a risk comes differs between people more than
    anything else, so that it takes as many of them as there are.
    """
    fold = _folds(people.learn, seed)
    unseen: list[Unseen] = []
    for k in range(FOLDS + 1):
        some = [s for s in people.learn if fold[s.person] != k]
        found = _members(some, recipe, seed + 1 + k, stride, _share_of(progress, k))
        if k < FOLDS:
            own = live_windows([s for s in people.learn if fold[s.person] == k], _EVALUATION_STRIDE)
            unseen.append(Unseen(members=found, seen=own, rows=rows(own)))
    shares = _shares(unseen)
    pairs = [(_blended(one.members, shares), one.rows, one.moves) for one in unseen]
    return calibrated(_blended(found, shares), pairs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Members:
    """What is blended: a network, and lines (f + 1, 12) in mg/dL."""

    network: Network
    ridge: Array
    lad: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Unseen:
    """Windows of people, and members that have not learnt from them."""

    members: Members
    seen: Windows
    rows: Rows

    @property
    def moves(self) -> Array:
        """What came (n, 12), mg/dL from the newest value."""
        return self.seen.target - self.seen.history[:, -1:]


def _folds(found: Sequence[Segment], seed: int) -> dict[str, int]:
    """Person -> which of FOLDS parts, as many of every source in each as can be."""
    return {person: int(place * FOLDS) for person, place in _places({s.person for s in found}, seed + FOLDS).items()}


def _share_of(progress: Progress | None, k: int) -> Progress | None:
    return None if progress is None else lambda done: progress((k + done) / (FOLDS + 1))


def _members(some: Sequence[Segment], recipe: Recipe, seed: int, stride: int, progress: Progress | None) -> Members:
    learnt = rows(shortened(live_windows(some, stride), recipe.cut_share, seed))
    network = train(learnt, recipe, seed, progress=progress)
    ridge = fit_ridge(learnt.x, learnt.moves * unit(learnt.x), 100.0)
    return Members(network=network, ridge=ridge, lad=fit_least_absolute(learnt, ridge, seed=seed))


def _shares(unseen: Sequence[Unseen]) -> dict[str, float]:
    """How much of each member goes into the blend."""
    paths: dict[str, list[Array]] = {"network": [], "ridge": [], "lad": []}
    for one in unseen:
        x = one.rows.x
        quantiles = predict(one.members.network, x)[:, :PATH].reshape(len(x), HORIZON, len(QUANTILES))
        paths["network"].append(quantiles[:, :, MEDIAN] * unit(x))
        paths["ridge"].append(apply_lines(one.members.ridge, x))
        paths["lad"].append(apply_lines(one.members.lad, x))
    still = np.concatenate([persistence(filled(one.seen.history)) - one.seen.history[:, -1:] for one in unseen])
    return blend(
        {name: np.concatenate(own) for name, own in paths.items()}, np.concatenate([one.moves for one in unseen]), still
    )


def _blended(members: Members, shares: Mapping[str, float]) -> Model:
    return Model(
        networks=(members.network,),
        share=shares["network"],
        lines=(np.float32(shares["ridge"]) * members.ridge + np.float32(shares["lad"]) * members.lad).astype(
            np.float32
        ),
        margins=plain_margins(),
        risk_lines=plain_lines(),
        ridge=members.ridge,
    )


def calibrated(model: Model, unseen: Sequence[tuple[Model, Rows, Array]]) -> Model:
    """The model with margins and lines of the risks from rows, and what came of them (n, 12) in mg/dL, each with a
    model that has not learnt from them."""
    plain = np.concatenate([one.moves(own.x, plain=True)[0] for one, own, _ in unseen])
    found = margins(plain, np.concatenate([own.x for _, own, _ in unseen]), np.concatenate([m for _, _, m in unseen]))
    asked = np.concatenate([replace(one, margins=found).risk_inputs(own.x) for one, own, _ in unseen])
    lines = fit_lines(asked, np.concatenate([own.happened for _, own, _ in unseen]))
    return replace(model, margins=found, risk_lines=lines)


def counted(people: People) -> Mapping[str, dict[str, int]]:
    """Source -> how many people learn, judge, and how many points there are."""
    out: dict[str, dict[str, int]] = {}
    for group, some in (("learn", people.learn), ("judge", people.judge)):
        for person in sorted({s.person for s in some}):
            source = out.setdefault(person.rpartition("/")[0] or "all", {"learn": 0, "judge": 0, "points": 0})
            source[group] += 1
            source["points"] += sum(len(s) for s in some if s.person == person)
    return out
