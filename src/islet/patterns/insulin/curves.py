"""How much of a dose of insulin is still to act, and how strongly it acts now, for each class of insulin.

Rapid analogues: the exponential model of Loop and oref0 (github.com/LoopKit/Loop/issues/388) with a duration of 6 h and a
peak at 75 min (ultra-rapid: 55 min). The same curve, with the middle of what labels give for peak and duration, stands for
regular insulin and NPH; it is a class's curve, no person's. Long-acting analogues have no peak worth the name: they rise,
hold, and fade. Premixed insulin is the sum of its parts.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from islet.model.insulins import InsulinClass
from islet.patterns.course import Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """Minutes of a dose's action: how long in all, when it peaks (None: a plateau), and how long a plateau takes to rise."""

    duration_min: float
    peak_min: float | None = None
    rise_min: float = 0.0


CURVES: Final[dict[InsulinClass, Curve]] = {
    "ultra_rapid": Curve(duration_min=360, peak_min=55),
    "rapid": Curve(duration_min=360, peak_min=75),
    "regular": Curve(duration_min=480, peak_min=150),
    "nph": Curve(duration_min=960, peak_min=360),
    "detemir": Curve(duration_min=1200, rise_min=180),
    "glargine": Curve(duration_min=1440, rise_min=120),
    "degludec": Curve(duration_min=2520, rise_min=120),
}
"""The durations and peaks of labels lie around these: regular 5 to 8 h (peak 2 to 4 h), NPH 12 to 18 h (4 to 10 h), detemir
up to 24 h, glargine 24 h, degludec 42 h."""


def left_share(minutes: Floats, curve: Curve) -> Floats:
    """The share of a dose (n,) that is still to act, so many minutes (n,) after it; 1 before it, 0 after its duration.

    >>> left_share(np.array([0.0, 75.0, 360.0]), CURVES["rapid"]).round(3).tolist()
    [1.0, 0.694, 0.0]
    """
    t = np.clip(minutes, 0.0, curve.duration_min)
    if curve.peak_min is None:
        return np.asarray(1.0 - _plateau(t, curve), np.float64)
    tau, a, s = _constants(curve.duration_min, curve.peak_min)
    td = curve.duration_min
    inner = (t**2 / (tau * td * (1.0 - a)) - t / tau - 1.0) * np.exp(-t / tau) + 1.0
    return np.asarray(np.clip(1.0 - s * (1.0 - a) * inner, 0.0, 1.0), np.float64)


def activity_per_min(minutes: Floats, curve: Curve) -> Floats:
    """The share of a dose that acts in a minute (n,), so many minutes (n,) after it; its integral is 1.

    >>> round(float(activity_per_min(np.arange(0.0, 361.0), CURVES["rapid"]).sum()), 3)
    1.0
    """
    inside = (minutes >= 0.0) & (minutes <= curve.duration_min)
    t = np.clip(minutes, 0.0, curve.duration_min)
    if curve.peak_min is None:
        rise = curve.rise_min
        level = 1.0 / (curve.duration_min - rise)
        shape = np.minimum(1.0, np.minimum(t, curve.duration_min - t) / rise)
        return np.where(inside, level * shape, 0.0)
    tau, _, s = _constants(curve.duration_min, curve.peak_min)
    return np.where(inside, s / tau**2 * t * (1.0 - t / curve.duration_min) * np.exp(-t / tau), 0.0)


def _constants(td: float, tp: float) -> tuple[float, float, float]:
    """τ, a and S of the exponential model."""
    tau = tp * (1.0 - tp / td) / (1.0 - 2.0 * tp / td)
    a = 2.0 * tau / td
    return tau, a, 1.0 / (1.0 - a + (1.0 + a) * np.exp(-td / tau))


def _plateau(t: Floats, curve: Curve) -> Floats:
    """What has acted of a dose that rises and fades linearly over `rise_min`, and holds in between."""
    rise, td = curve.rise_min, curve.duration_min
    level = 1.0 / (td - rise)
    rising = np.minimum(t, rise) ** 2 / (2.0 * rise)
    held = np.clip(t - rise, 0.0, td - 2.0 * rise)
    fading = np.clip(t - (td - rise), 0.0, rise)
    return np.asarray(level * (rising + held + fading - fading**2 / (2.0 * rise)), np.float64)
