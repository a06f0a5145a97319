"""Real people (ShanghaiT1DM and ShanghaiT2DM, doi:10.1038/s41597-023-01940-7): patterns agree with what their charts say."""

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray
from python_calamine import CalamineWorkbook

from islet.decode.shanghai import decode_workbook
from islet.metrics.ranges import STANDARD
from islet.model.events import Reading
from islet.model.series import Series
from islet.model.time import to_us
from islet.patterns.advise import advise
from islet.patterns.course import Course
from islet.patterns.find import find
from islet.patterns.findings import PersonDays
from islet.patterns.glucose.low_risk import low_day_chance

HYPOGLYCEMIA = 32
"""The column of the summary workbooks."""
WHOLE = ("1006_0_20210114", "2000_0_20201230", "2045_0_20201216")


def worn(file: Path) -> PersonDays:
    """One workbook."""
    events = decode_workbook(file.read_bytes()).events
    rows = {to_us(one.time): one.value for one in events if isinstance(one, Reading) and one.method == "cgm"}
    times = sorted(rows)
    series = Series(
        time_us=np.array(times, np.int64),
        glucose_tenths=np.array([round(rows[at] * 10) for at in times], np.int32),
        range=np.zeros(len(times), np.int8),
    )
    others = tuple(one for one in events if not isinstance(one, Reading))
    return PersonDays(id=file.stem, series=series, events=others, zone=ZoneInfo("Asia/Shanghai"))


def charts(folder: Path) -> dict[str, bool]:
    """Whether each chart says "yes" to hypoglycaemia, by the name of its workbook."""
    rows = [
        row
        for kind in ("T1DM", "T2DM")
        for row in CalamineWorkbook.from_path(folder / f"Shanghai_{kind}_Summary.xlsx")
        .get_sheet_by_index(0)
        .to_python()[1:]
    ]
    return {str(row[0]).strip(): str(row[HYPOGLYCEMIA]).strip() == "yes" for row in rows}


def auroc(yes: NDArray[np.float64], no: NDArray[np.float64]) -> float:
    """The chance that one who had it ranks above one who had not; ties count half."""
    return float(np.mean(yes[:, None] > no) + np.mean(yes[:, None] == no) / 2)


def interval(yes: NDArray[np.float64], no: NDArray[np.float64]) -> tuple[float, float]:
    """90 %, by drawing people of both groups again."""
    rng = np.random.default_rng(1)
    drawn = [auroc(rng.choice(yes, len(yes)), rng.choice(no, len(no))) for _ in range(1000)]
    low, high = np.quantile(drawn, (0.05, 0.95))
    return float(low), float(high)


def test_hidden_low_risk_separates_charts_with_hypoglycaemia_from_those_without(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_data / "shanghai"
    said = charts(folder)
    files = [file for kind in ("T1DM", "T2DM") for file in sorted((folder / f"Shanghai_{kind}").glob("*.xls*"))]
    risk = {file.stem: low_day_chance(Course(worn(file), STANDARD)) for file in files}
    yes, no = (np.array([risk[name] for name in risk if said[name] is one]) for one in (True, False))
    assert (len(yes), len(no)) == (24, 101)
    low, high = interval(yes, no)
    with capsys.disabled():
        print(f"\nhidden-low risk, AUROC {auroc(yes, no):.2f} (90 %: {low:.2f} to {high:.2f}), 24 yes, 101 no")
    assert low > 0.65


@pytest.mark.parametrize("name", WHOLE)
def test_a_real_person_gets_findings_and_advice_that_rest_on_their_readings(shared_data: Path, name: str) -> None:
    kind = "T1DM" if name.startswith("1") else "T2DM"
    file = next((shared_data / "shanghai" / f"Shanghai_{kind}").glob(f"{name}.xls*"))
    person = worn(file)
    found = find(person)
    assert {one.wheel.value for one in found} >= {"glucose", "diet", "motivation"}
    first, last = int(person.series.time_us[0]), int(person.series.time_us[-1])
    for one in advise(found, person):
        assert all(first - 86_400_000_000 <= e.from_us <= last + 86_400_000_000 for e in one.evidence)
