"""GlucoBench with our rows: splits, errors beside the published ones, calibration, alarms.

    python -m benchmarks.forecast                                  the four sets at hand, all seeds
    python -m benchmarks.forecast --seeds 10 11                    fewer seeds
    python -m benchmarks.forecast --data FILE.csv --config SET.toml   one set more (columns id, time, gl in mg/dL)

A configuration is TOML: gap_min, least_points, part_points, most_input, and what else benchmarks/forecast/sets/*.toml
show. One seed of all four sets takes about 45 CPU-seconds.
"""

import argparse
import json
import os
import pickle
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from benchmarks.forecast.accuracy import GROUPS, Found, measure
from benchmarks.forecast.honesty import Case, case_of, figures_of
from benchmarks.forecast.members import OWN, PERSONAL, POOLED, Fitted, blended, check_split, fit_all
from benchmarks.forecast.progress import bar, no_bar
from benchmarks.forecast.protocol import Config, Split, read_config, read_segments, split
from benchmarks.forecast.report import tables
from benchmarks.forecast.seen import SHARE, helpful_share, people_of
from islet.errors import BadInput
from islet.forecast.baselines import persistence
from islet.forecast.blend import blend
from islet.forecast.card import figures_markdown
from islet.forecast.features import filled
from islet.forecast.grid import Segment
from islet.forecast.train import Recipe, rows
from islet.forecast.windows import windows

ROOT = Path(__file__).resolve().parents[2]
KNOWN = ("iglu", "colas", "dubosson", "hall")
CHOOSING_SEED = 0
Sets = Mapping[str, tuple[Config, list[Segment]]]
Shares = Mapping[str, Mapping[str, Mapping[str, float]]]


def main() -> int:
    options = _options()
    try:
        return _run(options)
    except (BadInput, OSError) as error:
        print(error, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    sets = _sets(options)
    seeds = options.seeds or [s for group in GROUPS.values() for s in group]
    for name, (config, segments) in sets.items():
        check_split(name, segments, config, (CHOOSING_SEED, *seeds))
    shares = _choose(sets, _fitted(sets, CHOOSING_SEED, options.keep))
    found: list[Found] = []
    cases: list[Case] = []
    for number, seed in enumerate(seeds, start=1):
        print(f"seed {seed} ({number} of {len(seeds)})", flush=True)
        some, more = _seed(sets, seed, _fitted(sets, seed, options.keep), shares)
        found += some
        cases += more
    return _told(options.out, {name: config for name, (config, _) in sets.items()}, shares, found, cases)


def _seed(sets: Sets, seed: int, fitted: Mapping[str, Fitted], shares: Shares) -> tuple[list[Found], list[Case]]:
    """What one seed's split gives: the errors of every row, and how true the pooled one is."""
    found: list[Found] = []
    cases: list[Case] = []
    for name, (config, segments) in sets.items():
        parts = split(segments, config, seed)
        print(f"  {name}: points train {{}}, validation {{}}, test {{}}, out {{}}".format(*parts.sizes()), flush=True)
        found.extend(measure(name, config, parts, seed, fitted[name], shares[name]))
        if parts.validation and parts.out:
            cases.append(case_of(name, config, parts, fitted[name], shares[name]["pooled"]))
    return found, cases


def _told(out: Path, configs: Mapping[str, Config], shares: Shares, found: list[Found], cases: list[Case]) -> int:
    """Print and write what was found; 0 if every cell is ahead of the best published row, else 1."""
    text, won, cells = tables(found, configs)
    print(text)
    print(f"\nahead of the best published row in {won} of {cells} cells (each on each published row's windows)")
    honest = figures_of(cases)
    print(
        "\nHow true it is, and how it warns: the pooled row with causal filling, on people out of distribution, all seeds together"
    )
    print(figures_markdown(honest))
    out.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "chosen_on": "validation parts of seed 0",
        "shares": shares,
        "won": won,
        "cells": cells,
        "honest": honest,
        "found": [asdict(f) for f in found],
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"all figures: {out}")
    return 0 if won == cells else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.forecast", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared = Path(os.environ.get("ISLET_SHARED_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--folder", type=Path, default=shared / "glucobench", help="where the known sets are")
    parser.add_argument("--sets", nargs="*", default=list(KNOWN), help=f"known sets (default: {' '.join(KNOWN)})")
    parser.add_argument("--data", type=Path, action="append", default=[], help="a CSV file of one set more")
    parser.add_argument("--config", type=Path, action="append", default=[], help="its TOML file; one for each --data")
    parser.add_argument("--seeds", type=int, nargs="*", help="seeds of 10 to 19, 1 and 2 (default: all)")
    parser.add_argument("--keep", type=Path, help="keep what is fitted in this folder, and take it from there again")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "forecast.json", help="all figures as JSON")
    return parser.parse_args()


def _sets(options: argparse.Namespace) -> Sets:
    if len(options.data) != len(options.config):
        raise BadInput(
            f"{len(options.data)} --data, {len(options.config)} --config: one --config for each --data", reason="usage"
        )
    if unknown := sorted(set(options.seeds or ()) - {s for g in GROUPS.values() for s in g}):
        raise BadInput(f"--seeds {unknown[0]}: GlucoBench's seeds are 10 to 19, 1 and 2", reason="usage")
    sets: dict[str, tuple[Config, list[Segment]]] = {}
    for name in options.sets:
        config = read_config(Path(name))
        sets[name] = config, read_segments(options.folder / config.file, config)
    for data, file in zip(options.data, options.config, strict=True):
        config = read_config(file)
        sets[file.stem] = config, read_segments(data, config)
    return sets


def _fitted(sets: Sets, seed: int, folder: Path | None) -> dict[str, Fitted]:
    kept = folder / f"seed-{seed}-{'-'.join(sets)}.pickle" if folder else None
    if kept and kept.exists():
        made: dict[str, Fitted] = pickle.loads(kept.read_bytes())
        return made
    parts: dict[str, tuple[Config, Split]] = {
        name: (config, split(found, config, seed)) for name, (config, found) in sets.items()
    }
    made = fit_all(parts, recipe=Recipe(), say=bar)
    no_bar()
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(made))
    return made


def _choose(sets: Sets, fitted: Mapping[str, Fitted]) -> Shares:
    """The shares of each set's blends, on seed 0's validation part; then whether the people's own lines help there."""
    shares: dict[str, dict[str, dict[str, float]]] = {}
    for name, (config, segments) in sets.items():
        parts = split(segments, config, CHOOSING_SEED).validation
        found = windows(parts, start=config.most_input, stride=2)
        seen, now, people = rows(found).x, found.history[:, -1], people_of(found, parts)
        shares[name] = {}
        for row, members in (("pooled", POOLED), ("own data", OWN)):
            paths = {m: fitted[name].path(m, seen, now) for m in members}
            share = blend(paths, found.target, persistence(filled(found.history)))
            plain, told = (blended(fitted[name], share | {PERSONAL: s}, seen, now, people) for s in (0.0, SHARE))
            shares[name][row] = share | {PERSONAL: helpful_share(plain, told, found.target)}
        print(f"{name}: shares chosen on seed 0's validation part ({len(found)} windows): {shares[name]}", flush=True)
    return shares


if __name__ == "__main__":
    sys.exit(main())
