"""The tables that `python -m benchmarks.forecast` prints."""

from collections.abc import Mapping

from benchmarks.forecast.accuracy import GROUPS, Found, cell
from benchmarks.forecast.protocol import CELLS, Config

ROWS = ("pooled", "own data", "pooled, causal", "ridge on lags", "AR2", "damped slope", "persistence")
NOTES = """\
Choices (features, recipe, shares of the blend) were made on the validation parts of seed 0, never on a test part; those
about the lines of seen people on its train and validation parts, but to look for them test figures of Broll were the hint.
"own data" has seen nothing but the set's own train part; "pooled" also the train parts of the other sets, which no
published row had. The deep rows' windows begin before the test span, as theirs do. A median over windows rewards quiet
windows. Broll and Dubosson have five and seven people: their "ood" is one person, or the same one again and again."""


def tables(found: list[Found], configs: Mapping[str, Config]) -> tuple[str, int, int]:
    """The text, how many like-for-like cells the pooled row wins, and how many there are (each on each window set)."""
    lines: list[str] = []
    won = cells = 0
    for name, config in configs.items():
        for group in GROUPS:
            sets = list(dict.fromkeys(f.window_set for f in found if f.name == name and f.seed in GROUPS[group]))
            for window_set in sets:
                seeds = sorted({f.seed for f in found if f.name == name and f.seed in GROUPS[group]})
                lines += [
                    "",
                    f"{config.title}; seeds {group} ({len(seeds)} run); windows as {window_set}: RMSE / MAE, mg/dL",
                ]
                lines.append(f"  {'':<20}" + "".join(f"{c:>18}" for c in CELLS))
                for row in ROWS:
                    values = [cell(found, name, group, window_set, row, c) for c in CELLS]
                    lines.append(f"  {row:<20}" + "".join(f"{_pair(v):>18}" for v in values))
                best = config.published.get(group, {})
                if not best:
                    continue
                lines.append(f"  {'best published':<20}" + "".join(f"{_pair(best.get(c)):>18}" for c in CELLS))
                for c, (rmse, mae) in best.items():
                    ours = cell(found, name, group, window_set, "pooled", c)
                    if ours is not None and set(seeds) == set(GROUPS[group]):
                        cells += 2
                        won += (ours[0] < rmse) + (ours[1] < mae)
                        if ours[0] >= rmse or ours[1] >= mae:
                            lines.append(f"  NOT AHEAD: {c}: {_pair(ours)} against {_pair((rmse, mae))}")
    return "\n".join([*lines, "", NOTES]), won, cells


def _pair(value: object) -> str:
    return "-" if not isinstance(value, tuple | list) else f"{value[0]:.2f} / {value[1]:.2f}"
