"""What to write instead of something that rules cannot use: the one sentence behind a refusal."""

from typing import Final

from sqlglot import exp

_DAYS = 'a rule with every = "1 day" can use all of SQL'
_MINUTES: Final = "EXTRACT(HOUR FROM local_ts) * 60 + EXTRACT(MINUTE FROM local_ts)"
_WEEKDAY: Final = f"engines count the days of a week differently; {_DAYS}"
OF_CLOCK: Final = (
    "the time of day is known of the newest reading only; say, in WHERE, EXTRACT(HOUR FROM local_ts) = 6, of a window of 6 "
    "hours"
)
OF_PROFILE: Final = "a profile stands in what a column is compared with: glucose_mg_dl > CASE WHEN profile = 'pregnancy' THEN 140 ELSE 180 END"
INSIDE: Final[dict[type[exp.Expr], str]] = {
    exp.Abs: "for ABS(x) say CASE WHEN glucose_mg_dl > 120 THEN glucose_mg_dl - 120 ELSE 120 - glucose_mg_dl END",
    exp.Greatest: "for GREATEST say CASE WHEN glucose_mg_dl < 70 THEN 70 - glucose_mg_dl ELSE 0 END",
    exp.Least: "for LEAST say CASE WHEN glucose_mg_dl < 70 THEN glucose_mg_dl ELSE 70 END",
    exp.Round: "round what the aggregate gives, not what it is made of",
}
"""What stands inside of an aggregate instead."""
ROWS: Final = (
    "windows are as long as a time, not so many rows: 4 readings of a sensor that measures every 5 minutes are "
    "INTERVAL '20' MINUTE"
)
LONGER: Final = 'what looks back further than 24 hours is a rule with every = "1 day"'
LAG: Final = (
    "only the value before is known; for those before it say FIRST_VALUE, MIN or REGR_SLOPE over INTERVAL '15' MINUTE"
)
EARLIER: Final = (
    "of a window that ends before now there are SUM, AVG, COUNT, FIRST_VALUE, STDDEV_SAMP, VAR_SAMP and REGR_SLOPE"
)
_SHARE: Final = (
    "a median above 180 is a share above a half: AVG(CASE WHEN glucose_mg_dl > 180 THEN 100.0 ELSE 0 END) OVER (…) > 50; "
    f"{_DAYS}"
)

_INSTEAD: Final[dict[type[exp.Expr], str]] = {
    exp.Trunc: "engines differ in TRUNC; say FLOOR(x), CEIL(x) or ROUND(x)",
    exp.IntDiv: "engines differ in //; say FLOOR(x / y)",
    exp.Pow: f"say x * x for a square; {_DAYS}",
    exp.Sqrt: f"compare the squares; {_DAYS}",
    exp.Ln: f"numbers are calculated exactly, without logarithms; {_DAYS}",
    exp.Log: f"numbers are calculated exactly, without logarithms; {_DAYS}",
    exp.Exp: f"numbers are calculated exactly, without powers; {_DAYS}",
    exp.Sign: "say CASE WHEN x > 0 THEN 1 WHEN x < 0 THEN -1 ELSE 0 END",
    exp.DayOfWeek: _WEEKDAY,
    exp.DateDiff: "say time_min - MIN(time_min) OVER (…), the minutes since the first reading of a window",
    exp.Median: _SHARE,
    exp.PercentileCont: _SHARE,
    exp.PercentileDisc: _SHARE,
    exp.Quantile: _SHARE,
    exp.Lead: "a rule knows what was, not what will be; say LAG",
    exp.StddevPop: "say STDDEV_SAMP",
    exp.VariancePop: "say VAR_SAMP",
    exp.IgnoreNulls: "FROM readings no row is without a value; elsewhere say MIN or MAX of a window",
}
_WEEK: Final = ("DOW", "DAYOFWEEK", "ISODOW", "WEEKDAY", "DAYOFWEEK_ISO")


def instead(node: exp.Expr) -> str:
    """What to write for that expression, with a colon's worth of reason; empty where nothing better is known."""
    if isinstance(node, exp.Extract) and node.this.name.upper() in _WEEK:
        return _WEEKDAY
    if isinstance(node, exp.Cast):
        return _of_cast(node)
    if isinstance(node, exp.Anonymous) and node.name.upper() == "DATE_PART":
        return "say EXTRACT(HOUR FROM local_ts)"
    return _INSTEAD.get(type(node), "")


def _of_cast(node: exp.Cast) -> str:
    if node.to.this in exp.DataType.INTEGER_TYPES:
        return "some engines round here and others cut off; say ROUND(x), FLOOR(x) or CEIL(x)"
    if node.to.this in (exp.DataType.Type.TIME, exp.DataType.Type.DATE):
        return f"for the time of day say {_MINUTES} >= 1350, which is half past ten in the evening"
    return "a number needs no cast"
