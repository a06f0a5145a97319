"""What is fitted to the train parts of one seed, and what each of it forecasts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np

from benchmarks.forecast.protocol import Config, Split, split
from benchmarks.forecast.seen import People, fit_people, people_of, with_lines
from islet.errors import BadInput
from islet.forecast.baselines import apply_lines, fit_ridge
from islet.forecast.features import unit
from islet.forecast.grid import Segment
from islet.forecast.network import MEDIAN, PATH, QUANTILES, Array, Network
from islet.forecast.train import Recipe, Rows, fit_least_absolute, joined, predict, rows, shortened, train
from islet.forecast.windows import HORIZON, Windows, windows

SHORTEST: Final = 24  # points of a train window's past
SEEDS: Final = (0, 1)  # of the networks; their mean is the member
TUNING: Final = Recipe(epochs=4.0, batch=256, rate=5e-4)
LEAST_STEPS: Final = 500  # of tuning, however small the set
SCRATCH: Final = Recipe(epochs=14.0, dropout=0.2)
POOLED: Final = ("network", "tuned", "ridge", "own ridge", "own lad")
OWN: Final = ("scratch", "own ridge", "own lad")
PERSONAL: Final = "personal"
"""Beside the shares of the members: that of a person's own lines, taken from all members alike where there are some."""
Say = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """All members for one set: networks by name, lines (f + 1, 12) by name, and by person who was seen."""

    networks: Mapping[str, tuple[Network, ...]]
    lines: Mapping[str, Array]
    people: Mapping[str, Array]

    def outputs(self, name: str, x: Array) -> Array:
        """The mean outputs of the networks of that name."""
        found = [predict(network, x) for network in self.networks[name]]
        mean: Array = np.mean(found, axis=0, dtype=np.float32)
        return mean

    def path(self, name: str, x: Array, now: Array) -> Array:
        """(n, 12) mg/dL as that member has it."""
        if name in self.lines:
            return now[:, None] + apply_lines(self.lines[name], x)
        quantiles = self.outputs(name, x)[:, :PATH].reshape(len(x), HORIZON, len(QUANTILES))
        return now[:, None] + quantiles[:, :, MEDIAN] * unit(x)


def train_windows(split: Split, *, causal: bool = False) -> Windows:
    """Every window of the train parts."""
    return windows(split.train, start=SHORTEST, stride=1, causal=causal)


def check_split(name: str, found: Sequence[Segment], config: Config, seeds: Iterable[int]) -> None:
    """Raises BadInput where a seed leaves nothing to learn from, or the first of them (by which blends are chosen) nothing
    to choose by."""
    for number, seed in enumerate(seeds):
        parts = split(found, config, seed)
        people = len({segment.person for segment in found})
        if not len(train_windows(parts)):
            raise BadInput(
                f"{name}, seed {seed}: no reading is left to learn from; {people} people have a segment of "
                f"{config.least_points} readings, and a tenth of them, at least one, is kept apart",
                reason="data",
            )
        if not number and not len(windows(parts.validation, start=config.most_input, stride=2)):
            raise BadInput(
                f"{name}: seed {seed} has no validation window; part_points or most_input are too large, or the segments "
                "too short",
                reason="config",
            )


def fit_all(
    splits: Mapping[str, tuple[Config, Split]], *, recipe: Recipe, causal: bool = False, own: bool = True, say: Say
) -> dict[str, Fitted]:
    """The members of each set: pooled on the train parts of all, and fitted to its own alone."""
    data: dict[str, Rows] = {}
    plain: dict[str, Rows] = {}
    people: dict[str, People] = {}
    for name, (_, parts) in splits.items():
        found = train_windows(parts, causal=causal)
        data[name] = rows(shortened(found, recipe.cut_share, 7))
        plain[name], people[name] = rows(found), people_of(found, parts.train)
    everything = joined(list(data.values()))
    pooled = tuple(
        train(everything, recipe, seed, progress=partial(say, f"pooled network {seed + 1}")) for seed in SEEDS
    )
    ridge = fit_ridge(everything.x, everything.moves * unit(everything.x), 100.0)
    made = {}
    for name in splits:
        own_ridge = fit_ridge(plain[name].x, plain[name].moves * unit(plain[name].x), 100.0)
        networks = {"network": pooled, "tuned": _tuned(data[name], pooled, name, say)}
        if own:
            networks["scratch"] = _scratch(data[name], name, say)
        lines = {"ridge": ridge, "own ridge": own_ridge, "own lad": fit_least_absolute(plain[name], own_ridge)}
        made[name] = Fitted(networks=networks, lines=lines, people=fit_people(plain[name], people[name]))
    return made


def _tuned(data: Rows, pooled: tuple[Network, ...], name: str, say: Say) -> tuple[Network, ...]:
    recipe = replace(TUNING, epochs=max(TUNING.epochs, LEAST_STEPS * TUNING.batch / len(data)))
    return tuple(
        train(data, recipe, seed, begin=network, progress=lambda done: say(f"tuning to {name}", done))
        for seed, network in enumerate(pooled)
    )


def _scratch(data: Rows, name: str, say: Say) -> tuple[Network, ...]:
    few = replace(SCRATCH, batch=256) if len(data) < 20_000 else SCRATCH
    return tuple(train(data, few, seed, progress=lambda done: say(f"{name} alone", done)) for seed in SEEDS)


def blended(fitted: Fitted, shares: Mapping[str, float], x: Array, now: Array, people: People) -> Array:
    """(n, 12) mg/dL: the members by their shares, then the lines of those people who have some."""
    total = np.zeros((len(x), HORIZON), np.float32)
    for name, share in shares.items():
        if share and name != PERSONAL:
            total += np.float32(share) * fitted.path(name, x, now)
    return with_lines(total, fitted.people, shares.get(PERSONAL, 0.0), people, x, now)
