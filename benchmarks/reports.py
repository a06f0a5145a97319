"""The seven-day report: one person's data to HTML on one core, and a batch of 1,000 from the store to files.

`python -m benchmarks.reports [PEOPLE]`. The person is simulated: a sensor of 5 min, two weeks (one to compare with), meals,
insulin and exercise. The batch does what `islet report seven-day --all` does, with 200 people (or PEOPLE) of the same days,
five times over: to fill a store with 4 million readings would take longer than the reports.
"""

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.record import figure
from islet.clock import wall_us
from islet.gathered import gathered, last_day
from islet.log.base import Slice
from islet.log.partitioning import with_received
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_event
from islet.model.people import Patient
from islet.model.time import to_us
from islet.model.topics import Topic
from islet.reports.forms import Wish, written
from islet.reports.recorded import Recorded
from islet.store.sqlite import SqliteStore
from tests.reports.people import ENGLISH, SUNDAY, simulated

_ONE_S: Final = 0.2
_TIMES: Final = 5
_KEY: Final = bytes(range(32))


def one(person: Recorded) -> float:
    """CPU seconds from a person's events to the page, as it is when everything has been used before."""
    best = float("inf")
    for _ in range(7):
        fresh = replace(person)  # without what the first run has kept
        began = time.process_time()
        html = written(fresh, Wish(kind="seven-day", last=SUNDAY), "html", ENGLISH)
        best = min(best, time.process_time() - began)
    assert b"Not a medical device" in html
    return best


def fill(store: SqliteStore, person: Recorded, people: int) -> list[Patient]:
    """That many people with the same days in the store."""
    patients = [Patient(id=f"p-{number}") for number in range(people)]
    rows = list(zip(person.series.time_us.tolist(), person.series.glucose_tenths.tolist(), strict=True))
    readings = documents = 0
    for patient in patients:
        batch = readings_batch([ReadingRow(patient.id, "cgm", at, level, level / 10, 0, 0, 0) for at, level in rows])
        acts = [(str(event.__struct_config__.tag), event) for event in person.events]
        care = documents_batch(
            [DocumentRow(patient.id, "app", to_us(e.time), kind, encode_event(e).decode()) for kind, e in acts]
        )
        slices = [
            Slice(
                topic=topic, partition=0, offset=offset, batch=with_received(table, np.ones(table.num_rows, np.int64))
            )
            for topic, offset, table in (
                (Topic.GLUCOSE_READINGS, readings, batch),
                (Topic.CARE_EVENTS, documents, care),
            )
        ]
        store.apply(slices)
        readings, documents = readings + batch.num_rows, documents + care.num_rows
    return patients


def batch(person: Recorded, people: int) -> float:
    """CPU seconds for everybody, five times: store to HTML files."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "store.db", _KEY)
        patients = fill(store, person, people)
        began = time.process_time()
        for patient in patients * _TIMES:
            last = last_day(store, patient, wall_us())
            recorded = gathered(store, patient, "seven-day", 7, last, named=False)
            html = written(recorded, Wish(kind="seven-day", last=last), "html", ENGLISH)
            (Path(folder) / f"{patient.id}.html").write_bytes(html)
        seconds = time.process_time() - began
        store.close()
    return seconds


def main() -> int:
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    person = simulated(14)
    began = time.process_time()
    written(person, Wish(kind="seven-day", last=SUNDAY), "html", ENGLISH)
    print(f"first report of a process: {time.process_time() - began:.2f} s (kernels from their cache, templates)")
    seconds = one(person)
    holds = seconds < _ONE_S
    figure("seven-day report, data to HTML", 1000 * seconds, "ms of CPU", bar=f"< {1000 * _ONE_S:g} ms", holds=holds)
    whole = batch(person, people)
    reports = people * _TIMES
    figure(f"{reports} seven-day reports, store to files", whole, "s of CPU")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{1000 * whole / reports:.1f} ms a report; {peak_mb:.0f} MB at most")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
