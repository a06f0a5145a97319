"""The same text on every engine: what sqlglot would change on the way to Spark is not portable."""

import pytest
import sqlglot
from sqlglot import exp

from islet.engine.rules import Rule, load_rules
from tests.rules.test_rules_made import RULES as TRIED

RULES = [rule for rule in load_rules() if not rule.every]


def _plain(tree: exp.Expr, dialect: str) -> str:
    """The text in that dialect; where NULLs would be sorted is of no matter: no instant is NULL."""
    return tree.sql(dialect=dialect, comments=False).replace(" NULLS LAST", "")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_reads_the_same_in_spark_and_in_duckdb(rule: Rule) -> None:
    by_duckdb, by_spark = (sqlglot.parse_one(rule.sql, dialect=dialect) for dialect in ("duckdb", "spark"))
    assert _plain(by_duckdb, "spark") == _plain(by_spark, "spark") == _plain(by_duckdb, "duckdb")


@pytest.mark.parametrize("rule", [rule for some in TRIED.values() for rule in some], ids=lambda rule: rule.name)
def test_what_rules_may_say_reads_the_same_in_spark(rule: Rule) -> None:
    by_duckdb, by_spark = (sqlglot.parse_one(rule.sql, dialect=dialect) for dialect in ("duckdb", "spark"))
    assert _plain(by_duckdb, "spark") == _plain(by_spark, "spark")


def test_what_is_not_portable_is_seen() -> None:
    by_duckdb, by_spark = (
        sqlglot.parse_one("SELECT EPOCH(ts) // 2 FROM readings", dialect=dialect, error_level=sqlglot.ErrorLevel.IGNORE)
        for dialect in ("duckdb", "spark")
    )
    assert _plain(by_duckdb, "spark") != _plain(by_spark, "spark")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_line_of_a_rule_is_a_long_one(rule: Rule) -> None:
    assert max(len(line) for line in rule.sql.split("*/", 1)[1].splitlines()) <= 120
