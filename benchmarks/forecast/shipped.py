"""The model that the package ships: `python -m benchmarks.forecast.shipped`, from data whose licence allows it.

With `--judge` the model stays, and only the figures of its card are made anew. What meals add is learnt afterwards, and
its figures are added to the card: `python -m benchmarks.forecast.meals`.

Colas and Hall (CC BY 4.0), T1D-UOM (CC BY 4.0), Zhao (CC BY 4.0), BIG IDEAs (ODC-By 1.0). Not used: Broll (package data
under the GPL), Dubosson (CC BY-SA 4.0), Weinstock (its own agreement).
"""

import csv
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.forecast.progress import bar
from islet.decode.shanghai import decode_workbook
from islet.forecast.card import with_card
from islet.forecast.fit import counted, divide, fit_model
from islet.forecast.forecaster import Forecaster
from islet.forecast.grid import LONGEST_GAP_MIN, Segment
from islet.forecast.judge import card_figures, judged
from islet.forecast.model import from_bytes, to_bytes
from islet.forecast.recordings import Columns, Rows, read_table, recordings
from islet.forecast.train import Recipe
from islet.model.events import Reading
from islet.model.units import MG_DL_PER_MMOL_L

ROOT: Final = Path(__file__).resolve().parents[2]
OUT: Final = ROOT / "src" / "islet" / "forecast" / "pooled.npz"
LEAST_READINGS: Final = 96
SEED: Final = 20
RECIPE: Final = Recipe(epochs=10.0)
SOURCES: Final = {
    "Colas": "Colas et al. 2019, people at risk of type 2, doi:10.1371/journal.pone.0225817, CC BY 4.0",
    "Hall": "Hall et al. 2018, healthy and pre-diabetic, Dexcom G4, doi:10.1371/journal.pbio.2005143, CC BY 4.0",
    "T1D-UOM": "T1D-UOM, type 1, readings every 5 or 15 min, doi:10.5281/zenodo.15169263, CC BY 4.0",
    "Zhao": "Zhao et al. 2023, Shanghai, type 1 and 2, every 15 min, doi:10.1038/s41597-023-01940-7, CC BY 4.0",
    "BIG IDEAs": "BIG IDEAs, pre-diabetic, Dexcom G6, doi:10.13026/zthx-5212, ODC-By 1.0",
}


def main() -> int:
    shared = Path(os.environ.get("ISLET_SHARED_DATA", ROOT.parent / "shared" / "data"))
    found = read_recordings(shared)
    people = divide(found, SEED)
    if "--judge" in sys.argv[1:]:
        model = from_bytes(OUT.read_bytes())
    else:
        model = fit_model(people, RECIPE, SEED, progress=lambda done: bar("training", done))
        model = from_bytes(to_bytes(model))  # judged as it is shipped, in half precision
    figures = card_figures(judged(Forecaster(model=model), people.judge, 1), people.judge)
    model = with_card(
        model, title="Islet pooled 2", sources=SOURCES, people=counted(people), figures=figures, seed=SEED
    )
    OUT.write_bytes(to_bytes(model))
    print(f"\n{OUT.name}: {OUT.stat().st_size:,} bytes; share of the network {model.share:.2f}")
    return 0


def read_recordings(shared: Path) -> list[Segment]:
    people: dict[str, Rows] = {}
    for source, name in (("Colas", "colas"), ("Hall", "hall")):
        with (shared / "glucobench" / f"{name}.csv").open(newline="", encoding="utf-8-sig") as file:
            people |= {f"{source}/{p}": rows for p, rows in read_table(file, name, Columns()).items()}
    for path in sorted((shared / "t1d_uom" / "glucose").glob("*.csv")):
        people[f"T1D-UOM/{path.stem[-4:]}"] = _uom(path)
    for path in sorted((shared / "bigideas").glob("Dexcom_*.csv")):
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = (line for line in file)
            table = [row for row in csv.DictReader(lines) if row["event_type"] == "EGV" and row["glucose"]]
        people[f"BIG IDEAs/{path.stem[-3:]}"] = [
            (minute_of(datetime.fromisoformat(row["timestamp"])), float(row["glucose"])) for row in table
        ]
    for path in sorted((shared / "shanghai").glob("Shanghai_T?DM/*.xls*")):
        people.setdefault(f"Zhao/{path.stem.partition('_')[0]}", []).extend(_zhao(path))
    return recordings(people, gap_min=LONGEST_GAP_MIN, least=LEAST_READINGS)


def _uom(path: Path) -> Rows:
    """Days come first in its dates, whatever its own README says; values are mmol/L."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return [
            (minute_of(datetime.strptime(row["bg_ts"], "%d/%m/%Y %H:%M")), float(row["value"]) * MG_DL_PER_MMOL_L)  # noqa: DTZ007
            for row in csv.DictReader(file)
            if row["value"]
        ]


def _zhao(path: Path) -> Rows:
    """One wearing of a sensor; a person may have several."""
    return [
        (minute_of(event.time.replace(tzinfo=None)), event.value)
        for event in decode_workbook(path.read_bytes()).events
        if isinstance(event, Reading) and event.method == "cgm"
    ]


def minute_of(at: datetime) -> int:
    """Minutes since 1970 of the clock on the wall."""
    return round((at - datetime(1970, 1, 1)).total_seconds() / 60)  # noqa: DTZ001


if __name__ == "__main__":
    sys.exit(main())
