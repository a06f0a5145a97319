"""Coverage, reliability, alarms and error grids on people out of distribution, with nothing filled in from the future."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.forecast.members import Fitted
from benchmarks.forecast.protocol import Config, Split
from islet.forecast.fit import calibrated
from islet.forecast.forecaster import Forecaster
from islet.forecast.grid import Segment
from islet.forecast.judge import Judged, card_figures, joined, judged
from islet.forecast.model import Model, plain_margins
from islet.forecast.risk import plain_lines
from islet.forecast.train import rows
from islet.forecast.windows import windows


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """The people out of distribution of one set and seed, and what was said of them."""

    judged: Judged
    segments: list[Segment]


def as_model(fitted: Fitted, shares: Mapping[str, float]) -> Model:
    """The pooled row as a model: the mean of its networks for what is around the path, its lines added up."""
    lines = sum(
        (np.float32(share) * fitted.lines[name] for name, share in shares.items() if name in fitted.lines),
        start=np.float32(0),
    )
    some = fitted.lines["ridge"]
    return Model(
        networks=(*fitted.networks["network"], *fitted.networks["tuned"]),
        share=sum(share for name, share in shares.items() if name in fitted.networks),
        lines=np.broadcast_to(lines, some.shape).astype(np.float32),
        margins=plain_margins(),
        risk_lines=plain_lines(),
        ridge=some,
    )


def case_of(name: str, config: Config, parts: Split, fitted: Fitted, shares: Mapping[str, float]) -> Case:
    """Calibrated on the validation parts, then judged, causally, on the people out of distribution."""
    held = windows(parts.validation, start=config.most_input, stride=1, causal=True)
    model = as_model(fitted, shares)
    model = calibrated(model, [(model, rows(held), held.target - held.history[:, -1:])])
    segments = [replace(p.segment, person=f"{name}/{p.segment.person}") for p in parts.out]
    return Case(judged=judged(Forecaster(model=model), segments, 1), segments=segments)


def figures_of(cases: Sequence[Case]) -> dict[str, object]:
    """All tables of all cases together, and by set."""
    firsts = np.cumsum([0, *(len(c.segments) for c in cases[:-1])]).tolist()
    return card_figures(joined([c.judged for c in cases], firsts), [s for c in cases for s in c.segments])
