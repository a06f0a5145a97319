"""What meals add in the shipped model, and how much it helps: `python -m benchmarks.forecast.meals` learns the weights
anew, puts them into the model beside what it has learnt from glucose, and prints what they are worth.

T1D-UOM (CC BY 4.0) and BIG IDEAs (ODC-By 1.0) wrote carbs down. Learnt from are those of whom the shipped model's
networks learnt, without those whose sensor and diary tell the time differently: after whose meals of 15 g or more
glucose rises, in the mean, by less than half of what it does in the best hour that begins up to an hour before or
after. What is printed is of people held out whole in turn, with and without the latter.
"""

import csv
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.forecast.shipped import OUT, ROOT, SEED, minute_of, read_recordings
from islet.forecast.card import meals_table, with_card
from islet.forecast.fit import divide
from islet.forecast.grid import STEP_MIN, Segment
from islet.forecast.learn_meals import Meals, fit_meals, forecasts_of, held_out, meals_figures
from islet.forecast.model import from_bytes, to_bytes

_LEAST_G: Final = 15.0
_HOUR_MIN: Final = 60
_BESIDE_MIN: Final = (-60, -30, 0, 30, 60)


def main() -> int:
    shared = Path(os.environ.get("ISLET_SHARED_DATA", ROOT.parent / "shared" / "data"))
    meals = read_meals(shared)
    everybody = read_recordings(shared)
    found = [one for one in everybody if one.person in meals]
    model = from_bytes(OUT.read_bytes())
    data = forecasts_of(model, found, meals)
    agree = {p for p in meals if clocks_agree([one for one in found if one.person == p], meals[p])}
    right = np.isin(data.person, sorted(agree))
    learn = np.isin(data.person, sorted({s.person for s in divide(everybody, SEED).learn}))
    added = held_out(data, right)
    figures = meals_figures(data.some(right), added[right])
    print(meals_table(figures), f"all, also {sorted(set(meals) - agree)}, whose clocks disagree", sep="\n\n")
    print(meals_table(meals_figures(data, added)))
    for source in sorted({person.partition("/")[0] for person in agree}):
        own = right & np.char.startswith(data.person, source)
        print(source, meals_table(meals_figures(data.some(own), added[own])), sep="\n\n")
    weights, card = fit_meals(data.some(right & learn)), dict[str, Any](model.card)
    model = with_card(
        replace(model, meals=weights),
        title=card["title"],
        sources=card["sources"],
        people=card["people"],
        figures=card["figures"] | {"meals": figures},
        seed=card["seed"],
    )
    OUT.write_bytes(to_bytes(model))
    print(f"{OUT.name}: {OUT.stat().st_size:,} bytes; at most {weights.max():.1f} mg/dL are added")
    return 0


def clocks_agree(found: Sequence[Segment], meals: Sequence[tuple[int, float]]) -> bool:
    """Whether glucose rises when the diary says that somebody ate."""
    rises = [_rise(found, meals, beside) for beside in _BESIDE_MIN]
    return rises[_BESIDE_MIN.index(0)] >= max(rises) / 2


def _rise(found: Sequence[Segment], meals: Sequence[tuple[int, float]], beside_min: int) -> float:
    """The mean rise in mg/dL in the hour that begins so long after a meal."""
    rises = []
    for one in found:
        for minute, carbs_g in meals:
            begin = (minute + beside_min - one.start_min) // STEP_MIN
            end = begin + _HOUR_MIN // STEP_MIN
            if carbs_g >= _LEAST_G and begin >= 0 and end < len(one):
                rises.append(one.glucose[end] - one.glucose[begin])
    return float(np.mean(rises)) if rises else 0.0


def read_meals(shared: Path) -> Meals:
    """Carbs of those who wrote them down; rows without a number are left out."""
    meals: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for path in sorted((shared / "t1d_uom" / "nutrition").glob("*.csv")):
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if ":" not in row["meal_ts"]:  # a day without a time
                    continue
                at = datetime.strptime(row["meal_ts"].strip(), "%d/%m/%Y %H:%M")  # noqa: DTZ007
                meals[f"T1D-UOM/{path.stem[-4:]}"].append((minute_of(at), _grams(row["carbs_g"])))
    for path in sorted((shared / "bigideas").glob("Food_Log_*.csv")):
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if row["time_begin"]:
                    at = datetime.fromisoformat(row["time_begin"])
                    meals[f"BIG IDEAs/{path.stem[-3:]}"].append((minute_of(at), _grams(row["total_carb"])))
    return {person: [one for one in own if one[1] > 0] for person, own in meals.items()}


def _grams(text: str) -> float:
    """Nought where there is no number."""
    try:
        return float(text)
    except ValueError:
        return 0.0


if __name__ == "__main__":
    sys.exit(main())
