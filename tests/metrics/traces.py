"""Readings that tests of metrics share: other people's files, and simple ones of our own."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from islet.metrics.people import People, people_of

Rows = tuple[list[str], NDArray[np.int64], NDArray[np.float64]]


def rows_of(file: Path) -> Rows:
    """Ids, wall clocks in µs and glucose of a CSV with the columns id, time, gl."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return (
        [row["id"] for row in rows],
        clocks([row["time"] for row in rows]),
        np.array([float(row["gl"]) for row in rows]),
    )


def clocks(times: list[str]) -> NDArray[np.int64]:
    return np.array([time.replace(" ", "T") for time in times], "datetime64[us]").astype(np.int64)


def five_people(shared_data: Path) -> People:
    """The five people of iglu's example data (Broll 2021, doi:10.1371/journal.pone.0248560)."""
    return people_of(*rows_of(shared_data / "iglu" / "example_data_5_subject.csv"))
