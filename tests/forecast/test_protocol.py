"""GlucoBench's splits, as its authors' own logs print them; and refusals of files that do not fit."""

from functools import cache
from pathlib import Path

import pytest

from benchmarks.forecast.accuracy import window_sets
from benchmarks.forecast.members import check_split
from benchmarks.forecast.protocol import Config, read_config, read_segments, split
from islet.errors import BadInput
from islet.forecast.grid import Segment
from islet.forecast.windows import windows

# points of train, validation, test and out of distribution: output/arima_*.txt of the authors' repository
_PRINTED = {
    "iglu": {0: (9056, 1774, 1848, 1300), 19: (7661, 1296, 2017, 2812)},
    "dubosson": {10: (4825, 2016, 2057, 969), 15: (4885, 2016, 2057, 909)},
    "colas": {0: (72275, 35713, 38253, 11242), 14: (72721, 36577, 38240, 10665)},
    "hall": {0: (62461, 12357, 16517, 10113), 15: (62763, 11344, 16397, 10512)},
}
_SEGMENTS = {"iglu": 15, "dubosson": 8, "colas": 205, "hall": 152}


@cache
def _read(name: str, shared: Path) -> tuple[Config, list[Segment]]:
    config = read_config(Path(name))
    return config, read_segments(shared / "glucobench" / config.file, config)


@pytest.mark.parametrize("name", list(_PRINTED))
def test_the_parts_are_as_large_as_the_authors_print(name: str, shared_data: Path) -> None:
    config, found = _read(name, shared_data)
    assert len(found) == _SEGMENTS[name]
    for seed, sizes in _PRINTED[name].items():
        assert split(found, config, seed).sizes() == sizes


# The authors print calibration errors of the linear row, sums of (k / n - p)² over p = 0, 0.1, … 1: the first step's, of
# seed 10 in output/linreg_*.txt, is a whole number of tenths of 1 / n² for one n up to a few thousand only.
_PRINTED_ERROR = {
    ("dubosson", "test"): (144, 0.5983989197530863),
    ("dubosson", "out"): (128, 0.5892700195312499),
    ("colas", "test"): (1950, 0.5956707429322814),
    ("hall", "out"): (1232, 0.39887839433293976),
}


@pytest.mark.parametrize(("name", "part"), list(_PRINTED_ERROR))
def test_there_are_as_many_windows_as_the_authors_had(name: str, part: str, shared_data: Path) -> None:
    config, segments = _read(name, shared_data)
    found = split(segments, config, 10)
    start, stride = window_sets(config, 10)["linear"]
    count = len(windows(getattr(found, part), start=start, stride=stride))
    expected, error = _PRINTED_ERROR[name, part]
    assert count == expected
    assert abs(error * count**2 * 10 - round(error * count**2 * 10)) < 1e-3


_CONFIG = Config(title="t", gap_min=45, least_points=2, part_points=2, most_input=2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,when,gl\n", "no column 'time'"),
        ("id,time,gl\n1,2012-01-01 00:00:00,5x\n", "row 0"),
        ("id,time,gl\n1,01/02/2012,100\n", "row 0"),
        ("id,time,gl\n1,2012-01-01 00:00:00,100\n", "no segment has 2 readings"),
        (
            "id,time,gl\n1,2012-01-01 00:00:00,6.2\n1,2012-01-01 00:05:00,18.4\n1,2012-01-01 00:10:00,6.4\n",
            "looks like mmol/L",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "set.csv"
    file.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_segments(file, _CONFIG)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gap_min = 45\n", "least_points"),
        ("gap_min = 45\nleast_points = 1\npart_points = 0\nmost_input = 3\n", "part_points has to be"),
        ("gaps = 45\n", "unknown key 'gaps'"),
        ("gap_min =\n", "not TOML"),
        (
            "gap_min = 45\nleast_points = 1\npart_points = 1\nmost_input = 3\n[published.'1-2']\n'id maen' = [1, 2]\n",
            "published.1-2: expected 10-19 or 1-2, with some of id mean",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_with_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "set.toml"
    file.write_text(text)
    with pytest.raises(BadInput, match=says):
        read_config(file)


def test_a_set_that_leaves_nothing_to_learn_from_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    rows = [f"A 7,1900-01-01 {k // 20:02}:{3 * (k % 20):02}:30,{100 + k % 30}" for k in range(400)]
    file = tmp_path / "one.csv"
    file.write_text("id,time,gl\n" + "\n".join(rows) + "\n")
    config = Config(title="t", gap_min=45, least_points=2, part_points=12, most_input=24)
    found = read_segments(file, config)
    with pytest.raises(BadInput, match="one, seed 0: no reading is left to learn from; 1 people"):
        check_split("one", found, config, [0, 1])


def test_doubles_and_the_order_of_rows_change_nothing(tmp_path: Path) -> None:
    rows = [f"1,2012-01-01 00:{5 * k:02}:00,{100 + k}" for k in range(8)]
    found = []
    for number, lines in enumerate((rows, [*reversed(rows), rows[3]])):
        file = tmp_path / f"{number}.csv"
        file.write_text("\n".join(["id,time,gl", *lines]))
        found.append(read_segments(file, _CONFIG)[0].glucose.tolist())
    assert found[0] == found[1] == [100, 101, 102, 103, 104, 105, 106, 107]
