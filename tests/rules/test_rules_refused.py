"""What is outside of the subset is refused with the line, the reason and what is allowed."""

from pathlib import Path

import pytest

from islet.engine.rules import load_rules, plan, read_rule
from islet.errors import RuleRefused

_FRONT = '/*\nname = "tried"\ntitle = "Tried"\nseverity = "notice"\n*/\n'  # five lines: the SQL begins on line 6
_OVER = "OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW)"


def _windowed(expression: str, where: str = "x > 1") -> str:
    return (
        f"SELECT patient, ts\nFROM (\nSELECT patient, ts,\n{expression} AS x\nFROM readings) AS recent\nWHERE {where}"
    )


@pytest.mark.parametrize(
    ("sql", "line", "reason"),
    [
        ("SELECT patient FROM readings\nWHERE glucose_mg_dl < 70.05", 7, "at most one decimal"),
        ("SELECT patient FROM readings\nWHERE glucose_mg_dl < '70'", 7, "is a text"),
        ("SELECT patient FROM readings\nWHERE glucose < 70", 7, "unknown column 'glucose'"),
        ("SELECT patient FROM readings\nWHERE glucose_mg_dl / 2 < 70", 7, "not arithmetic of the subset"),
        ("SELECT patient FROM readings\nWHERE glucose_mg_dl * 1.5 < 70", 7, "whole multiples"),
        ("SELECT patient FROM readings\nWHERE glucose_mg_dl", 7, "not a condition"),
        ("SELECT patient FROM readings\nWHERE 1 < 2", 7, "looks at no reading"),
        ("SELECT patient FROM readings\nWHERE glucose_mg_dl IS NULL", 7, "not a condition"),
        ("SELECT patient FROM readings", 6, "needs a WHERE"),
        ("SELECT patient\nFROM patients WHERE glucose_mg_dl < 70", 7, "unknown table"),
        ("SELECT patient FROM readings\nWHERE glucose_mg_dl < 70\nLIMIT 3", 8, "LIMIT is not in the subset"),
        ("SELECT patient FROM readings\nWHERE glucose_mg_dl < 70\nORDER BY ts", 8, "ORDER is not in the subset"),
        ("SELECT patient,\nweight FROM readings WHERE glucose_mg_dl < 70", 7, "cannot be selected"),
        ("SELECT patient\nFROM readings JOIN meals ON 1 = 1 WHERE glucose_mg_dl < 70", 7, "JOIN is not in the subset"),
        (_windowed("AVG(glucose_mg_dl)"), 9, "aggregate OVER"),
        (_windowed(f"MEDIAN(glucose_mg_dl) {_OVER}"), 9, "expected one of AVG"),
        (_windowed(f"AVG(device) {_OVER}"), 9, "expected glucose_mg_dl inside"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('RANGE', 'ROWS')}"), 9, "expected OVER"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('patient', 'device')}"), 9, "expected OVER"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('ts', 'ts DESC')}"), 9, "expected OVER"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('MINUTE', 'MONTH')}"), 9, "MINUTE or HOUR"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('CURRENT ROW', 'UNBOUNDED FOLLOWING')}"), 9, "expected OVER"),
        ("SELECT patient FROM last_readings\nWHERE minutes_since > 20", 7, "minutes_since >= n"),
        ("SELECT patient FROM last_readings\nWHERE minutes_since >= 0", 7, "minutes_since >= n"),
        ("SELECT patient FROM\n(readings WHERE", 7, "not SQL"),
        ("SELECT patient FROM readings WHERE device = 'x", 6, "not closed"),
        ("DELETE FROM readings", 1, "expected one SELECT"),
    ],
)  # fmt: skip
def test_sql_outside_of_the_subset_is_refused(sql: str, line: int, reason: str) -> None:
    with pytest.raises(RuleRefused, match=f"^line {line}: ") as refusal:
        plan([read_rule(_FRONT + sql)])
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    ("front", "line", "reason"),
    [
        ("", 1, "begins with"),
        ('/*\nname = "x"\ntitle = \n*/', 3, "not TOML"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "loud"\n*/', 1, "severity"),
        ('/*\nname = "Big"\ntitle = "X"\nseverity = "notice"\n*/', 1, "name"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\ncolour = "red"\n*/', 1, "colour"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\nenabled = "some"\n*/', 1, "enabled"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\nclear = "glucose_mg_dl >"\n*/', 5, "clear"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\nclear = "weight > 3"\n*/', 5, "unknown column"),
    ],
)  # fmt: skip
def test_a_front_matter_that_is_not_understood_is_refused(front: str, line: int, reason: str) -> None:
    with pytest.raises(RuleRefused, match=f"^line {line}: ") as refusal:
        plan([read_rule(front + "\nSELECT patient FROM readings WHERE glucose_mg_dl < 70")])
    assert reason in str(refusal.value)


def test_a_silence_takes_no_clearing_condition() -> None:
    front = _FRONT.replace("*/", 'clear = "minutes_since < 20"\n*/')
    with pytest.raises(RuleRefused, match="line 5: a silence ends with the next reading"):
        plan([read_rule(front + "SELECT patient FROM last_readings WHERE minutes_since >= 20")])


def test_more_rules_than_a_mask_has_bits_are_refused() -> None:
    rule = read_rule(_FRONT + "SELECT patient FROM readings WHERE glucose_mg_dl < 70")
    with pytest.raises(RuleRefused, match="at most 32 rules"):
        plan([rule] * 33)


def test_a_directory_of_rules_names_the_file_that_is_at_fault(tmp_path: Path) -> None:
    (tmp_path / "other.sql").write_text(
        _FRONT + "SELECT patient FROM readings WHERE glucose_mg_dl < 70", encoding="utf-8"
    )
    with pytest.raises(RuleRefused, match=r"^other\.sql, line 2: the file has to be called tried\.sql"):
        load_rules(tmp_path)


def test_a_rule_may_end_with_a_semicolon_and_have_comments() -> None:
    sql = "SELECT patient -- who\nFROM readings /* all */ WHERE glucose_mg_dl < 70;\n"
    assert len(plan([read_rule(_FRONT + sql)]).rules) == 1
