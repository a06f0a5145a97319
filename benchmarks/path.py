"""The whole path inside the engine: JSON bytes to alerts on the disk, at a steady rate. `python -m benchmarks.path`.

One process: arrivals are decoded, evaluated by the shipped rules, and committed with their alerts and the offsets to
the encrypted log (FULL sync); in large groups the engine reads them from the log, and commits the alerts after them. A
reading's latency runs from the instant it was due until a follower of the log sees its alert, so it holds one sync or
two, and all waiting. A million patients are known. Two rates: 5,500 readings a second (a million people at 3 minutes)
and 555,000 (a hundred times that).
"""

import gc
import os
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.record import figure
from islet.clock import wall_us
from islet.decode.telemetry import Arrival
from islet.engine.embedded import EmbeddedEngine
from islet.engine.in_force import FixedRules, Rules
from islet.engine.parameters import NO_LAYERS
from islet.engine.reference import Reference
from islet.engine.references import references
from islet.engine.rules import Plan, load_rules, plan
from islet.engine.shard import Shard
from islet.gateways.intake import Intake
from islet.log.base import Log
from islet.log.group_commit import GroupCommit
from islet.log.partitioning import with_received
from islet.log.sqlite import SqliteLog
from islet.model.batch import READINGS_SCHEMA, ReadingRow, int64_column, readings_batch
from islet.model.time import MINUTE_US, SECOND_US, iso
from islet.model.topics import Topic
from islet.settings import Settings

LASTS_S = float(os.environ.get("ISLET_BENCH_SECONDS", "10"))
WARM_S = 2.0
PATIENTS = 1_000_000
LOW_EVERY = 100
KNOWN = range(12, 28)
"""Readings of a patient that the engine has before: they do not all have as many, so that their memory does not
fill up at the same instant."""
SLICE_S = 0.002
"""The arrivals of so long come in one go, as from an event loop."""


class AlertFollower(threading.Thread):
    """Reads the alerts topic as it grows: (onset, instant seen) of each urgent low that opened."""

    def __init__(self, log: Log) -> None:
        super().__init__(daemon=True)
        self._log, self.seen, self._stop_asked = log, list[tuple[int, int]](), threading.Event()
        self.used_s = 0.0

    def run(self) -> None:
        version, positions = 0, list(self._log.end(Topic.ALERTS))
        while not self._stop_asked.is_set():
            version = self._log.wait(version, 0.1)
            now_us = wall_us()
            for partition in range(len(positions)):
                while (piece := self._log.read(Topic.ALERTS, partition, positions[partition])) is not None:
                    times = int64_column(piece.batch, "time_us").tolist()
                    kinds = zip(
                        piece.batch.column("type").to_pylist(), piece.batch.column("body").to_pylist(), strict=True
                    )
                    opened = [kind == "opened" and '"rule":"urgent_low"' in str(body) for kind, body in kinds]
                    self.seen += [(at, now_us) for at, wanted in zip(times, opened, strict=True) if wanted]
                    positions[partition] = piece.next_offset
            self.used_s = time.thread_time()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()


def is_low(number: int, patients: int) -> bool:
    """One reading in LOW_EVERY; the same patient's next one is none."""
    return (number + number // patients) % LOW_EVERY == 0


def wavering(number: int) -> int:
    """A glucose in mg/dL that is another one at the next number: a sensor that says the same for an hour is a fault."""
    return 108 + number % 5


def arrivals(rate: int, patients: int, begin_us: int, seconds: float) -> list[list[Arrival]]:
    """Slices of arrivals; reading k is due, and dated, k / rate seconds after the begin."""
    ids = [(f"device-{number:07d}", f"patient-{number:07d}") for number in range(patients)]
    size = max(1, round(rate * SLICE_S))
    slices = []
    for first in range(0, round(rate * seconds), size):
        base = iso(begin_us + round(first / rate * SECOND_US))[:19]
        micros = (begin_us + round(first / rate * SECOND_US)) % SECOND_US
        one = []
        for number in range(first, first + size):
            value = 50 if is_low(number, patients) else wavering(number + number // patients)
            # all of a slice come in one go, so they are dated alike but for a microsecond each
            at = f"{base}.{min(micros + number - first, 999_999):06d}Z"
            payload = b'{"type":"reading","time":"%s","value":%d,"unit":"mg/dL"}' % (at.encode(), value)
            one.append(Arrival(*ids[number % patients], payload))
        slices.append(one)
    return slices


def know(shard: Shard, patients: int) -> None:
    """Have the shard know everybody: readings of an hour or so of each, the last one three minutes ago."""
    now_us = wall_us()
    for first in range(0, patients, 100_000):
        everybody = np.arange(first, min(patients, first + 100_000))
        for ago in range(KNOWN[-1], 0, -1):
            some = everybody[everybody % len(KNOWN) >= ago - KNOWN[0]].tolist()
            at_us = now_us - ago * 3 * MINUTE_US
            names = [pa.array([f"{kind}-{number:07d}" for number in some]) for kind in ("patient", "device")]
            values = [wavering(number - ago) for number in some]
            rest = readings_batch([ReadingRow("", "", 0, 10 * value, value, 0, 0, 0) for value in values])
            times_us = at_us - (np.array(some) * 7 + ago * 131) % 1_000  # to the microsecond, like those to come
            columns = [*names, pa.array(times_us), *rest.columns[3:]]
            batch = pa.RecordBatch.from_arrays(columns, schema=READINGS_SCHEMA)
            shard.take_in({Topic.GLUCOSE_READINGS: with_received(batch, at_us)})


@contextmanager
def engine_running(engine: EmbeddedEngine) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            engine.run_once(0.25)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """From the instants when readings were due until their alerts were seen; the share of a core that it took."""

    p50_ms: float
    p99_ms: float
    cores: float
    seen: int
    expected: int


def measure(
    ready: Plan,
    rate: int,
    patients: int,
    acquaint: Callable[[Shard], None],
    known: Mapping[str, Reference] | None = None,
) -> Measured:
    """Readings at a rate through the rules of a plan, after the engine was told of what is past; `known`: by stream, what
    there is to know of patients."""
    settings = Settings(engine_snapshot_s=1e6, silence_grace_s=1e6)
    rules = Rules(plan=ready, references=references(ready, NO_LAYERS, []) if known is None else known)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(SqliteLog(Path(folder) / "log.db", bytes(32))) as log,
    ):
        commit = GroupCommit(log, wall_us, within_s=settings.commit_within_ms / 1000)
        intake = Intake(commit, lambda call, *given: call(*given), future_us=5 * MINUTE_US)
        engine = EmbeddedEngine(log, commit, FixedRules(rules), settings, wall_us)
        commit.accompany(engine)
        engine.recover()
        acquaint(engine._shard)
        follower = AlertFollower(log)
        follower.start()
        preparing_s = 5 + (LASTS_S + WARM_S) * rate / 200_000
        begin_us = wall_us() + round(preparing_s * SECOND_US)
        slices = arrivals(rate, patients, begin_us, WARM_S + LASTS_S)
        gc.freeze()  # these are not the engine's to look through
        with engine_running(engine):
            used = send(intake, slices, begin_us, follower)
            time.sleep(1)
        follower.stop()
        commit.close()
    counted_from_us = begin_us + round(WARM_S * SECOND_US)
    waits_ms = np.array([(at - onset) / 1000 for onset, at in follower.seen if onset >= counted_from_us])
    expected = sum(is_low(number, patients) for number in range(sum(map(len, slices))))
    p50, p99 = np.percentile(waits_ms, [50, 99]) if len(waits_ms) else (np.inf, np.inf)
    return Measured(p50_ms=float(p50), p99_ms=float(p99), cores=used, seen=len(follower.seen), expected=expected)


def send(intake: Intake, slices: list[list[Arrival]], begin_us: int, follower: AlertFollower) -> float:
    """Offer each slice when it is due; the share of a core that the process used after the warm-up."""
    assert wall_us() < begin_us, "the machine is too slow to prepare the arrivals in time"
    warm = round(WARM_S / SLICE_S)
    used_s = began_s = 0.0
    for number, one in enumerate(slices):
        due_us = begin_us + round(number * SLICE_S * SECOND_US)
        while (early_us := due_us - wall_us()) > 0:
            time.sleep(early_us / SECOND_US)
        if number == warm:
            used_s, began_s = cpu_s(follower), time.perf_counter()
        intake.offer_all(one, ignore, None)
    return (cpu_s(follower) - used_s) / (time.perf_counter() - began_s)


def ignore(given: None, error: Exception | None) -> None:
    if error is not None:
        raise error


def cpu_s(follower: AlertFollower) -> float:
    """What the process has used but for this thread, which plays the devices, and the follower's, which plays people."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime - time.thread_time() - follower.used_s


def main() -> None:
    for rate, bar_ms, bar_core in ((5_500, 15.0, 0.15), (555_000, 50.0, 2.0)):
        one = measure(plan(load_rules()), rate, PATIENTS, partial(know, patients=PATIENTS))
        name = f"path: {rate:,} readings/s, {PATIENTS:,} patients"
        figure(f"{name}, p50", one.p50_ms, "ms")
        figure(f"{name}, p99", one.p99_ms, "ms", bar=f"<= {bar_ms:g} ms", holds=one.p99_ms <= bar_ms)
        figure(f"{name}, of a core", one.cores, "cores", bar=f"<= {bar_core:g}", holds=one.cores <= bar_core)
        figure(f"{name}, alerts seen", one.seen, "alerts", bar=f"{one.expected:,}", holds=one.seen >= one.expected)


if __name__ == "__main__":
    main()
