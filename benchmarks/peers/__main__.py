"""`python -m benchmarks.peers [names] [--readings N]`: a table, and a figure for each peer in `build/bench.jsonl`.

What counts is the CPU time of a peer's whole tree of processes, less that of the same program on 100 readings: start-up,
compilation and the interpreter are not in it. With fewer readings than all a virtual machine is still warming up, which is.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.peers.data import arrivals, compare, write_batches
from benchmarks.peers.measure import measured
from benchmarks.peers.peers import PEERS, Peer
from benchmarks.record import figure

ROOT: Final = Path(__file__).resolve().parents[2]
WORK: Final = ROOT / "build" / "peers"
LONGEST_S: Final = 900.0
FEW: Final = 100


class Missing(Exception):
    """A peer that cannot run here; why."""


class Result(NamedTuple):
    """CPU microseconds for each reading, and how its flags compare: how many there are, are missing, are wrong."""

    readings: int
    cpu_us: float
    wall_s: float
    compared: tuple[int, int, int] | None


def python_of(name: str) -> str:
    """The interpreter of an environment, which is made when it is not there. Raises Missing."""
    if not name:
        return sys.executable
    python = WORK / f"env-{name}" / "bin" / "python"
    lock = ROOT / "requirements" / f"peers-{name}.lock"
    done = WORK / f"env-{name}" / "installed.lock"
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        if uv is None:
            raise Missing("uv is not installed")
        for command in (
            [uv, "venv", "-q", "--clear", "--python", "3.11", str(python.parents[1])],
            [uv, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", str(lock)],
        ):
            made = subprocess.run(command, capture_output=True, text=True)
            if made.returncode:
                raise Missing(f"its environment could not be made: {made.stderr.strip()[-300:]}")
        done.write_bytes(lock.read_bytes())
    return str(python)


def run(name: str, peer: Peer, readings: pa.Table) -> Result:
    """Once on a few readings, once on all that it gets. Raises Missing."""
    if peer.kind == "jvm" and shutil.which("java") is None:
        raise Missing("there is no Java")
    python = python_of(peer.environment)
    given = readings.slice(0, min(peer.readings, len(readings)))
    for _ in range(2):  # the first one may compile what is then kept on disk
        empty_s, _wall_s = _cpu_s(name, python, readings.slice(0, FEW))
    cpu_s, wall_s = _cpu_s(name, python, given)
    compared = None
    if peer.compared:
        output = WORK / "run" / name / "output"
        if peer.kind == "islet":
            from_episodes(given, output)
        compared = compare(given, output)
    return Result(len(given), (cpu_s - empty_s) / (len(given) - FEW) * 1e6, wall_s, compared)


def _cpu_s(name: str, python: str, readings: pa.Table) -> tuple[float, float]:
    """CPU and wall seconds of one run, whose output is left in the peer's folder."""
    folder = WORK / "run" / name
    shutil.rmtree(folder, ignore_errors=True)
    write_batches(readings, folder / "input")
    (folder / "output").mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": python,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONWARNINGS": "ignore",
    }
    command = [python, "-m", f"benchmarks.peers.{name}", str(folder / "input"), str(folder / "output")]
    try:
        cost = measured(command, environment, folder / "log", LONGEST_S)
    except subprocess.TimeoutExpired:
        raise Missing(f"not done after {LONGEST_S:.0f} s") from None
    if cost.code:
        raise Missing(f"it failed: {(folder / 'log').read_text(errors='replace').strip()[-500:]}")
    return cost.cpu_s, cost.wall_s


def from_episodes(readings: pa.Table, output: Path) -> None:
    """Evaluations out of changes of alerts: flagged is what lies in an episode. The last change of an episode holds."""
    connection = duckdb.connect()
    connection.register("arrived", readings)
    changes = output / "changes.parquet"
    connection.execute(
        "CREATE TABLE episodes AS SELECT patient, (body->>'onset_us')::BIGINT AS onset_us,"
        " arg_max(type, file_row_number) AS last, arg_max(time_us, file_row_number) AS at_us"
        f" FROM read_parquet('{changes}', file_row_number = true) GROUP BY 1, 2"
    )
    connection.execute(
        "COPY (SELECT a.patient, a.time_us, 1 AS version, e.last = 'opened' OR a.time_us < e.at_us AS flagged FROM"
        " (SELECT DISTINCT patient, time_us FROM arrived) AS a ASOF JOIN"
        " (FROM episodes WHERE last <> 'retracted') AS e ON a.patient = e.patient AND a.time_us >= e.onset_us)"
        f" TO '{output / 'evaluations.parquet'}' (FORMAT parquet)"
    )
    changes.unlink()


def report(results: dict[str, Result]) -> None:
    """The table, and the figures with Islet's beside them."""
    ours = results.get("islet_engine")
    print(f"\n{'':<42}{'readings':>11}{'CPU us each':>13}{'wall s':>8}{'flags':>11}{'missing':>9}{'wrong':>8}")
    for name, result in results.items():
        flags, missing, wrong = result.compared or ("-", "-", "-")
        print(f"{PEERS[name].title:<42}{result.readings:>11,}{result.cpu_us:>13.3f}{result.wall_s:>8.1f}", end="")
        print(f"{flags:>11}{missing:>9}{wrong:>8}   {PEERS[name].note}")
    for name, result in results.items():
        peer = ("Islet, one process", ours.cpu_us) if ours and name != "islet_engine" else (None, None)
        figure(f"peers, {PEERS[name].title}", result.cpu_us, "CPU us/reading", peer=peer[0], peer_value=peer[1])
    for kind, least in (("jvm", 50), ("python", 10)):
        costs = [result.cpu_us for name, result in results.items() if PEERS[name].kind == kind]
        if ours and costs:
            figure(f"peers, CPU of the best {kind} peer to Islet's", min(costs) / ours.cpu_us, "times",
                   bar=f"at least {least} times", holds=min(costs) >= least * ours.cpu_us)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(PEERS))
    parser.add_argument(
        "--readings",
        type=int,
        default=10**9,
        help="at most so many for each peer; Islet's own cost is then that of its first, coldest ones",
    )
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(PEERS))
    if unknown:
        parser.error(f"there is no peer {unknown[0]!r}; there are: {', '.join(PEERS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a peer is ended too
    readings = arrivals(np.random.default_rng(20261121)).slice(0, options.readings)
    results: dict[str, Result] = {}
    for name in options.names or PEERS:
        try:
            results[name] = run(name, PEERS[name], readings)
            print(f"{name}: done", flush=True)
        except Missing as why:
            print(f"{name}: SKIPPED: {why}", flush=True)
    report(results)
    wrong = results["islet_engine"].compared if "islet_engine" in results else None
    return 1 if wrong and wrong[1:] != (0, 0) else 0


if __name__ == "__main__":
    sys.exit(main())
