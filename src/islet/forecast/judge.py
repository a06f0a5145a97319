"""What a model's card says of it: errors, coverage, reliability of the risks, and alarms, on people it has not seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.forecast.alarms import Tally, tally, total
from islet.forecast.baselines import ar2, damped_slope, extrapolated, persistence
from islet.forecast.calibration import calibration_error, coverage, reliability
from islet.forecast.error_grids import clarke, dts, parkes
from islet.forecast.features import filled
from islet.forecast.fit import live_windows
from islet.forecast.forecaster import Forecaster
from islet.forecast.grid import STEP_MIN, Segment
from islet.forecast.network import MEDIAN, RISK_STEPS, RISKS, Array
from islet.forecast.personal import correction, fitted, given
from islet.forecast.train import happened
from islet.forecast.windows import HORIZON, Windows
from islet.model.time import MINUTE_US

LOW_MG_DL: Final = 70.0
_DRAWS: Final = 2_000  # of people, with replacement
_NIGHT_MIN: Final = 180  # of the day, when the nightly job learns
_DAY_MIN: Final = 1440
LEVELS: Final = (0.1, 0.2, 0.3, 0.4, 0.5)  # of risk at which one would warn
Paths = Callable[[NDArray[np.float32]], NDArray[np.float32]]
BASELINES: Final[dict[str, Paths]] = {
    "persistence": persistence,
    "damped slope": damped_slope,
    "AR2": ar2,
    "extrapolation": extrapolated,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """Windows of people, and what the model said of them: quantiles (n, 12, 5) mg/dL, risks (n, 4, 2)."""

    seen: Windows
    quantiles: Array
    risks: Array


def judged(forecaster: Forecaster, found: Sequence[Segment], stride: int) -> Judged:
    """The model's forecasts of recordings, as they would have been live; windows without a forecast are left out."""
    seen = live_windows(found, stride)
    said = forecaster.forecast(seen.history, seen.minute)
    told = said.reason == 0
    return Judged(seen=_some(seen, told), quantiles=said.quantiles[told], risks=said.risks[told])


def errors_table(case: Judged) -> dict[str, dict[str, float]]:
    """RMSE and MAE (mg/dL) of the median and of the baselines, over the whole hour and at 30 and 60 min."""
    known, target = filled(case.seen.history), case.seen.target
    made = {"model": case.quantiles[:, :, MEDIAN]} | {name: path(known) for name, path in BASELINES.items()}
    out = {}
    for name, path in made.items():
        missed = path - target
        at = {30: missed[:, 5], 60: missed[:, 11]}
        out[name] = {"rmse": _root(missed), "mae": float(np.abs(missed).mean())}
        out[name] |= {f"rmse_{k}_min": _root(m) for k, m in at.items()} | {
            f"mae_{k}_min": float(np.abs(m).mean()) for k, m in at.items()
        }
    return out


def risks_table(case: Judged) -> dict[str, dict[str, object]]:
    """For each risk: how often it came, Brier score, its skill against the rate (None where it came never
    or always), expected calibration error, reliability."""
    did = happened(case.seen.target, case.seen.history[:, -1]).reshape(-1, len(RISKS), len(RISK_STEPS))
    out: dict[str, dict[str, object]] = {}
    for k, (side, line) in enumerate(RISKS):
        for m, steps in enumerate(RISK_STEPS):
            asked = ~np.isnan(did[:, k, m]) & ~np.isnan(case.risks[:, k, m])
            said, came = case.risks[asked, k, m], did[asked, k, m]
            rate, brier = float(came.mean()), float(((said - came) ** 2).mean())
            table = reliability(said, came)
            out[f"{side} {line:.0f} within {5 * steps} min"] = {
                "rate": rate,
                "brier": brier,
                "skill": 1 - brier / (rate * (1 - rate)) if 0 < rate < 1 else None,
                "calibration_error": calibration_error(table),
                "reliability": table,
            }
    return out


def alarms_table(case: Judged, found: Sequence[Segment]) -> dict[str, dict[str, float | None]]:
    """Warnings of lows within 30 and 60 min: by risk at several levels, by the median, and by the baselines. None is unknown."""
    known = filled(case.seen.history)
    out: dict[str, dict[str, float | None]] = {}
    for m, steps in enumerate(RISK_STEPS):
        warned: dict[str, NDArray[np.bool_]] = {f"risk {level:.1f}": case.risks[:, 0, m] >= level for level in LEVELS}
        warned["median"] = case.quantiles[:, :steps, MEDIAN].min(axis=1) < LOW_MG_DL
        for name, path in BASELINES.items():
            if name != "persistence":
                warned[name] = path(known)[:, :steps].min(axis=1) < LOW_MG_DL
        for name, said in warned.items():
            counts = warnings_of(case.seen, said, found, steps)
            out[f"{name}, {5 * steps} min"] = {
                "events": counts.events,
                "sensitivity": _known(counts.sensitivity),
                "false_a_day": _known(counts.false_a_day),
                "lead_min": _known(counts.lead_min),
                "true_share": 1 - counts.false / counts.alarms if counts.alarms else None,
            }
    return out


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else value


def warnings_of(seen: Windows, said: NDArray[np.bool_], found: Sequence[Segment], steps: int) -> Tally:
    """How warnings said (n,) of lows within so many points did."""
    counts = []
    for number, segment in enumerate(found):
        own = seen.part == number
        warned = np.zeros(len(segment), bool)
        warned[seen.origin[own]] = said[own]
        counts.append(tally(segment.glucose, warned, line=LOW_MG_DL, horizon=steps))
    return total(counts)


def personal_table(case: Judged, found: Sequence[Segment]) -> dict[str, float]:
    """MAE (mg/dL) of the median without and with the personal correction, as it would have been served; what share of it
    that takes off, and between which two that lies for 95 of 100 draws of such people; how much worse it made the tenth of
    the people whom it helps least, and the one of them whom it harmed most (shares of their own MAE)."""
    missed = case.seen.target - case.quantiles[:, :, MEDIAN]
    left = missed - corrected_nightly(case, found)
    people = _people(case, found)
    every = np.array([(np.abs(missed[own]).sum(), np.abs(left[own]).sum(), left[own].size) for own in people.values()])
    plain, corrected, count = every.sum(axis=0)
    drawn = every[np.random.default_rng(0).integers(0, len(every), (_DRAWS, len(every)))].sum(axis=1)
    low, high = np.quantile(1 - drawn[:, 1] / drawn[:, 0], (0.025, 0.975))
    worse = every[:, 1] / every[:, 0] - 1
    return {
        "mae": float(plain / count),
        "mae_corrected": float(corrected / count),
        "gain": float(1 - corrected / plain),
        "gain_low": float(low),
        "gain_high": float(high),
        "worst_tenth": float(np.quantile(worse, 0.9)),
        "worst": float(worse.max()),
    }


def corrected_nightly(case: Judged, found: Sequence[Segment], days_ago: int = 0) -> Array:
    """What would have been added to all quantiles of each forecast, (n, 12) mg/dL, by lines that were learnt at
    _NIGHT_MIN of the person's own clock before it; or so many days before that."""
    known = given(case.seen.history, case.seen.minute, case.quantiles)
    missed = case.seen.target - case.quantiles[:, :, MEDIAN]
    start_min = np.array([segment.start_min for segment in found], np.int64)
    at_min = start_min[case.seen.part] + STEP_MIN * case.seen.origin
    added = np.zeros_like(missed)
    for own in _people(case, found).values():
        nights = (at_min[own] - _NIGHT_MIN) // _DAY_MIN
        for night in np.unique(nights):
            age_min = (night - days_ago) * _DAY_MIN + _NIGHT_MIN - at_min[own]
            past = own[age_min >= STEP_MIN * HORIZON]
            lines = fitted(known[past], missed[past], age_min[age_min >= STEP_MIN * HORIZON] * MINUTE_US)
            if lines is not None:
                now = own[nights == night]
                added[now] = correction(lines, known[now])
    return added


def _people(case: Judged, found: Sequence[Segment]) -> dict[str, NDArray[np.int64]]:
    """Person -> the rows of their forecasts; only of those who have any."""
    number = {person: k for k, person in enumerate(dict.fromkeys(segment.person for segment in found))}
    of_part = np.array([number[segment.person] for segment in found], np.int64)
    rows = {person: np.flatnonzero(of_part[case.seen.part] == k) for person, k in number.items()}
    return {person: own for person, own in rows.items() if len(own)}


def grids_table(case: Judged) -> dict[str, dict[str, float]]:
    """Shares of zones A to E at 30 and 60 min, on the grids of Clarke, Parkes and the Diabetes Technology Society."""
    out = {}
    for at, step in ((30, 5), (60, 11)):
        told, came = case.quantiles[:, step, MEDIAN], case.seen.target[:, step]
        for name, grid in (("Clarke", clarke), ("Parkes", parkes), ("DTS", dts)):
            zones = grid(came, told)
            out[f"{name}, {at} min"] = {zone: float((zones == zone).mean()) for zone in "ABCDE"}
    return out


def joined(cases: Sequence[Judged], firsts: Sequence[int]) -> Judged:
    """One after the other; firsts are the places of each one's first recording in the list of all."""
    seen = [case.seen for case in cases]
    return Judged(
        seen=Windows(
            history=np.concatenate([w.history for w in seen]),
            minute=np.concatenate([w.minute for w in seen]),
            target=np.concatenate([w.target for w in seen]),
            part=np.concatenate([w.part + first for w, first in zip(seen, firsts, strict=True)]),
            origin=np.concatenate([w.origin for w in seen]),
        ),
        quantiles=np.concatenate([case.quantiles for case in cases]),
        risks=np.concatenate([case.risks for case in cases]),
    )


def card_figures(case: Judged, found: Sequence[Segment]) -> dict[str, object]:
    """All tables of people it has not seen, and errors and coverage of each source by itself."""
    sources = sorted({s.person.rpartition("/")[0] or "all" for s in found})
    by_source = {}
    for source in sources:
        own = np.array([(s.person.rpartition("/")[0] or "all") == source for s in found])
        part = _judged_some(case, own[case.seen.part])
        by_source[source] = {
            "people": len({s.person for s, mine in zip(found, own, strict=True) if mine}),
            "forecasts": len(part.seen),
            "errors": errors_table(part),
            "coverage": coverage(part.quantiles, part.seen.target),
        }
    return {
        "forecasts": len(case.seen),
        "errors": errors_table(case),
        "coverage": coverage(case.quantiles, case.seen.target),
        "risks": risks_table(case),
        "alarms": alarms_table(case, found),
        "grids": grids_table(case),
        "personal": personal_table(case, found),
        "by_source": by_source,
    }


def _root(missed: NDArray[np.float32]) -> float:
    return float(np.sqrt((missed.astype(np.float64) ** 2).mean()))


def _some(seen: Windows, chosen: NDArray[np.bool_]) -> Windows:
    return Windows(
        history=seen.history[chosen],
        minute=seen.minute[chosen],
        target=seen.target[chosen],
        part=seen.part[chosen],
        origin=seen.origin[chosen],
    )


def _judged_some(case: Judged, chosen: NDArray[np.bool_]) -> Judged:
    return Judged(seen=_some(case.seen, chosen), quantiles=case.quantiles[chosen], risks=case.risks[chosen])
