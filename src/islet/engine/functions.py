"""Functions of numbers: ROUND, FLOOR, CEIL, the remainder of a division, CAST AS DECIMAL, the hour and the minute."""

import re
from collections.abc import Callable
from typing import Final

from sqlglot import exp

from islet.engine import rounding, scalars
from islet.engine.advice import instead
from islet.engine.code import Code, LocalMinute
from islet.engine.scalars import Scalar
from islet.engine.sql import Scope, named, refused
from islet.errors import RuleRefused

ARITHMETIC: Final = (
    "allowed are columns, numbers, NULL, + - * / %, ABS, ROUND, FLOOR, CEIL, GREATEST, LEAST, CASE, COALESCE, NULLIF, "
    "CAST AS DOUBLE or DECIMAL, EXTRACT(HOUR FROM local_ts), EXTRACT(MINUTE FROM local_ts), time_min - MIN(time_min) OVER (…)"
)
_CLOCK: Final = "expected EXTRACT(HOUR FROM local_ts) or EXTRACT(MINUTE FROM local_ts)"

ScalarOf = Callable[[exp.Expression, Scope], Scalar]


def write_rounded(node: exp.Expression, scope: Scope, code: Code, scalar_of: ScalarOf) -> Scalar:
    """ROUND, FLOOR, CEIL, % and CAST. Raises RuleRefused and TooLarge."""
    if isinstance(node, exp.Cast):
        return _cast(node, scope, code, scalar_of)
    value, decimals = scalar_of(node.this, scope), node.args.get("decimals")
    if isinstance(node, exp.Mod):
        by = scalars.constant_of(code, scalar_of(node.expression, scope))
        if not by:
            raise refused(f"{node.sql()!r}: expected a number that is not 0 behind %", node)
        return rounding.remainder(code, value, by)
    if isinstance(node, exp.Round) and decimals is not None:
        if not re.fullmatch("-?[0-6]", decimals.sql()):
            raise refused(f"{node.sql()!r}: expected a whole number of decimals from -6 to 6", node)
        return rounding.rounded(code, value, int(decimals.sql()))
    if decimals is not None or any(node.args.get(word) for word in ("to", "truncate")):
        raise refused(f"{node.sql()!r}: expected one number; for decimals say ROUND", node)
    if isinstance(node, exp.Round):
        return rounding.rounded(code, value, 0)
    return rounding.floored(code, value) if isinstance(node, exp.Floor) else rounding.ceiled(code, value)


def _cast(node: exp.Cast, scope: Scope, code: Code, scalar_of: ScalarOf) -> Scalar:
    """CAST AS DECIMAL(digits, decimals), which rounds, where there are digits enough."""
    digits, *more = [one.this.name for one in node.to.expressions if isinstance(one.this, exp.Literal)] or [""]
    decimal = node.to.this == exp.DataType.Type.DECIMAL and digits and not isinstance(node, exp.TryCast)
    places = int(more[0]) if more else 0
    if not decimal or not 0 <= places <= 6:
        raise no_arithmetic(node)
    value = rounding.rounded(code, scalar_of(node.this, scope), places)
    if max(map(abs, code.bounds[value.number])) >= 10 ** (int(digits) - places) * value.per:
        raise refused(f"{node.sql()!r}: {digits} digits may be too few, and engines differ then; say ROUND", node)
    return value


def write_clock(node: exp.Extract | exp.Hour | exp.Minute, scope: Scope, code: Code) -> Scalar:
    """The hour or the minute of the patient's clock. Raises RuleRefused."""
    part, of = type(node).__name__.upper(), node.this
    if isinstance(node, exp.Extract):
        part, of = node.this.name.upper(), node.expression
    if part not in ("HOUR", "MINUTE") or not named(of, "local_ts", scope):
        because = f"{words}; " if (words := instead(node)) else ""
        raise refused(f"{node.sql()!r}: {because}{_CLOCK}", node)
    minute = code.input(LocalMinute(), 0, 1439)
    return Scalar(code.divided(minute, 60) if part == "HOUR" else code.remainder(minute, 60))


def no_arithmetic(node: exp.Expression) -> RuleRefused:
    """The refusal of what cannot be calculated, with what to write instead."""
    because = f": {words}" if (words := instead(node)) else ""
    return refused(f"{node.sql()!r} is not arithmetic of the subset{because}; {ARITHMETIC}", node)
