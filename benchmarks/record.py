"""One figure of a benchmark: printed as a row, appended as a JSON object to `build/bench.jsonl`."""

import json
from pathlib import Path

_FILE = Path(__file__).resolve().parent.parent / "build" / "bench.jsonl"


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    peer: str | None = None,
    peer_value: float | None = None,
    bar: str | None = None,
    holds: bool | None = None,
) -> None:
    """Print and keep one figure. `ratio` is value / peer_value; `bar` says in words what was promised."""
    ratio = value / peer_value if peer_value else None
    row = {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": ratio,
        "bar": bar,
        "holds": holds,
    }
    _FILE.parent.mkdir(exist_ok=True)
    with _FILE.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    beside = f"  {peer}: {peer_value:,.4g} (ratio {ratio:.2f})" if ratio is not None else ""
    verdict = f"  [{bar}: {'holds' if holds else 'MISSED'}]" if bar else ""
    print(f"{name:<58} {value:>14,.4g} {unit:<14}{beside}{verdict}", flush=True)
