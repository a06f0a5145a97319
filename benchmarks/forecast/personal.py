"""Whether the personal correction only helps: `python -m benchmarks.forecast.personal`, on people whom the shipped model
has not seen, with lines learnt the night before, as the nightly job learns them.

Prints the mean error without and with it, overall, by source, for the person who is foretold worst and for whom it changes that
for the worse most; the same for lines that are older; whether intervals stay true; how the rule `low_soon` would do; and whether risks would be truer if they
were put together from the corrected quantiles (they are not: the risks stay as they are). `--card` puts the figures into
the shipped model's card.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.forecast.shipped import OUT, ROOT, SEED, read_recordings
from islet.forecast.calibration import calibration_error, coverage, reliability
from islet.forecast.features import features
from islet.forecast.fit import divide
from islet.forecast.forecaster import HIGHEST, LOWEST, Forecaster
from islet.forecast.grid import Segment
from islet.forecast.judge import LOW_MG_DL, Judged, corrected_nightly, judged, personal_table, warnings_of
from islet.forecast.model import to_bytes
from islet.forecast.network import MEDIAN, PATH, RISK_STEPS, RISKS, Array
from islet.forecast.risk import chances, inputs
from islet.forecast.shipped import shipped_model
from islet.forecast.train import happened

LOWER_QUARTILE = 1
LOW_SOON_STEPS = 4


def main() -> None:
    shared = Path(os.environ.get("ISLET_SHARED_DATA", ROOT.parent / "shared" / "data"))
    found = divide(read_recordings(shared), SEED).judge
    case = judged(Forecaster(model=shipped_model()), found, 1)
    added = corrected_nightly(case, found)
    print("MAE in mg/dL: without, with, what that takes off")
    errors(case, found, added)
    for days in (1, 6):
        print(f"all, lines {days} days older: {gained(case, corrected_nightly(case, found, days))}")
    quantiles = np.clip(case.quantiles + added[:, :, None], LOWEST, HIGHEST)
    for name, said in (("without", case.quantiles), ("with", quantiles)):
        held = coverage(said, case.seen.target)
        one = warnings_of(
            case.seen, said[:, :LOW_SOON_STEPS, LOWER_QUARTILE].min(axis=1) < LOW_MG_DL, found, LOW_SOON_STEPS
        )
        print(
            f"{name}: intervals hold {held[50]:.1%} and {held[90]:.1%}; of {one.events} lows low_soon foretells "
            f"{one.sensitivity:.1%}, {one.false_a_day:.2f} false alarms a day"
        )
    risks(case, added)
    if "--card" in sys.argv[1:]:
        card: dict[str, Any] = dict(shipped_model().card)
        card["figures"] = card["figures"] | {"personal": personal_table(case, found)}
        OUT.write_bytes(to_bytes(replace(shipped_model(), card=card)))


def gained(case: Judged, added: Array, some: slice | np.ndarray = slice(None)) -> str:
    missed = (case.seen.target - case.quantiles[:, :, MEDIAN])[some]
    plain, corrected = np.abs(missed).mean(), np.abs(missed - added[some]).mean()
    return f"{plain:.2f}, {corrected:.2f}, {1 - corrected / plain:+.2%}"


def errors(case: Judged, found: Sequence[Segment], added: Array) -> None:
    """Overall, by source, and of the person whom it serves worst."""
    person = np.array([segment.person for segment in found])[case.seen.part]
    source = np.array([one.rpartition("/")[0] for one in person])
    print(f"all ({len(np.unique(person))} people): {gained(case, added)}")
    for name in np.unique(source):
        print(f"{name}: {gained(case, added, source == name)}")
    missed = case.seen.target - case.quantiles[:, :, MEDIAN]
    changed = {
        who: np.abs(missed[own] - added[own]).sum() / np.abs(missed[own]).sum()
        for who in np.unique(person)
        for own in [person == who]
    }
    worst = max(changed, key=lambda who: changed[who])
    served = sum(bool(added[person == who].any()) for who in changed)
    print(f"served {served} people, {(added != 0).any(axis=1).mean():.1%} of the forecasts")
    largest = max(changed, key=lambda who: float(np.abs(missed[person == who]).mean()))
    print(f"largest error of one person: {gained(case, added, person == largest)}")
    print(f"worst ({(person == worst).sum():,} forecasts of one person): {gained(case, added, person == worst)}")


def risks(case: Judged, added: Array) -> None:
    """Calibration error and Brier score of each risk, as it is served and from the corrected quantiles."""
    model, x = shipped_model(), features(case.seen.history, case.seen.minute)
    logits, moves = model.outputs(x)[:, PATH:], case.quantiles - case.seen.history[:, -1:, None]
    did = happened(case.seen.target, case.seen.history[:, -1])
    shifted = (moves + added[:, :, None]).astype(np.float32)
    both = [chances(model.risk_lines, inputs(x, one, logits)) for one in (moves, shifted)]
    print("risk: calibration error as served, from corrected quantiles; Brier score likewise")
    for k in range(did.shape[1]):
        (side, line), steps = RISKS[k // len(RISK_STEPS)], RISK_STEPS[k % len(RISK_STEPS)]
        asked = ~np.isnan(did[:, k])
        off = [calibration_error(reliability(one[asked, k], did[asked, k])) for one in both]
        brier = [float(((one[asked, k] - did[asked, k]) ** 2).mean()) for one in both]
        print(f"{side} {line:.0f} within {5 * steps} min: {off[0]:.4f}, {off[1]:.4f}; {brier[0]:.5f}, {brier[1]:.5f}")


if __name__ == "__main__":
    main()
