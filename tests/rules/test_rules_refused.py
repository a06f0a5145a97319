"""What is outside of the subset is refused with the line, the reason and what is allowed."""

from pathlib import Path

import pytest

from islet.engine.rules import check_rule, load_rules, plan, read_rule
from islet.errors import RuleRefused

_FRONT = '/*\nname = "tried"\ntitle = "Tried"\nseverity = "notice"\n*/\n'  # five lines: the SQL begins on line 6
_OVER = "OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW)"


def _windowed(expression: str, where: str = "x > 1") -> str:
    return (
        f"SELECT patient, ts\nFROM (\nSELECT patient, ts,\n{expression} AS x\nFROM readings) AS recent\nWHERE {where}"
    )


_READINGS = "SELECT patient FROM readings\nWHERE "
_TIMELINE = (
    "SELECT patient, ts\nFROM (\nSELECT patient, ts, glucose_mg_dl,\n{} AS x\nFROM timeline) AS recent\nWHERE {}"
)


@pytest.mark.parametrize(
    ("sql", "line", "reason"),
    [
        (_READINGS + "glucose_mg_dl < 70.0000005", 7, "at most six decimals"),
        (_READINGS + "glucose_mg_dl < '70'", 7, "is a text"),
        (_READINGS + "glucose < 70", 7, "unknown column 'glucose'"),
        (_READINGS + "recent.glucose_mg_dl < 70", 7, "unknown table 'recent'; there are readings"),
        ("SELECT patient FROM readings AS r\nWHERE readings.glucose_mg_dl < 70", 7, "there are r"),
        (_READINGS + '"glucose_mg_dl" < 70', 7, "without quotes"),
        (_READINGS + "70 / glucose_mg_dl < 2", 7, "say / NULLIF(glucose_mg_dl, 0)"),
        (_READINGS + "glucose_mg_dl / 0 < 2", 7, "another number than 0 to divide by"),
        (_READINGS + "CAST(glucose_mg_dl AS INTEGER) < 2", 7, "CAST AS DOUBLE"),
        (_READINGS + "SQRT(glucose_mg_dl) < 70", 7, "not arithmetic of the subset: compare the squares"),
        (_READINGS + "CAST(glucose_mg_dl AS INTEGER) < 2", 7, "say ROUND(x), FLOOR(x) or CEIL(x)"),
        (_READINGS + "CAST(glucose_mg_dl AS DECIMAL(3, 1)) < 2", 7, "digits may be too few"),
        (_READINGS + "CAST(local_ts AS TIME) < 2 AND glucose_mg_dl < 70", 7, "for the time of day say EXTRACT"),
        (_READINGS + "EXTRACT(DOW FROM local_ts) = 6 AND glucose_mg_dl < 70", 7, "count the days of a week differently"),
        (_READINGS + "ROUND(glucose_mg_dl, 7) < 70", 7, "from -6 to 6"),
        (_READINGS + "ROUND(glucose_mg_dl, glucose_mg_dl) < 70", 7, "from -6 to 6"),
        (_READINGS + "glucose_mg_dl % 0 < 70", 7, "not 0 behind %"),
        (_READINGS + "7 % glucose_mg_dl < 70", 7, "not 0 behind %"),
        (_READINGS + "glucose_mg_dl", 7, "not a condition"),
        (_READINGS + "glucose_mg_dl LIKE '7%'", 7, "not a condition"),
        (_READINGS + "glucose_mg_dl IN (SELECT 1)", 7, "not a condition"),
        (_READINGS + "1 < 2", 7, "looks at no value"),
        (_READINGS + "glucose_mg_dl IS NULL", 7, "never true"),
        (_READINGS + "glucose_mg_dl > 5000", 7, "never true"),
        (_READINGS + "glucose_mg_dl >= 0", 7, "always true"),
        (_READINGS + "glucose_mg_dl * glucose_mg_dl * glucose_mg_dl * glucose_mg_dl * glucose_mg_dl > 1", 7, "this large"),
        (_READINGS + "device = 'cgm'", 7, "only profile and status"),
        (_READINGS + "EXTRACT(HOUR FROM ts) < 6 AND glucose_mg_dl < 70", 7, "EXTRACT(HOUR FROM local_ts)"),
        (_READINGS + "EXTRACT(DAY FROM local_ts) < 6 AND glucose_mg_dl < 70", 7, "EXTRACT(HOUR FROM local_ts)"),
        (_READINGS + "time_min > 6 AND glucose_mg_dl < 70", 7, "cannot be calculated with"),
        (_READINGS + "CASE WHEN glucose_mg_dl > 1 THEN glucose_mg_dl < 70 END", 7, "not a condition"),
        (_READINGS + "glucose_mg_dl IN ()", 7, "IN: expected 1 to 100 values; got 0"),
        (_READINGS + f"glucose_mg_dl IN ({', '.join(str(n) for n in range(2000))})", 7, "1 to 100 values; got 2000"),
        (_READINGS + "glucose_mg_dl < 1e999999999", 7, "expected a number up to"),
        (_READINGS + "glucose_mg_dl < " + "9" * 90_000, 7, "expected a number up to"),
        (_READINGS + "glucose_mg_dl < 70" + " " * 100_000, 6, "at most 100000 characters"),
        (_READINGS + "glucose_mg_dl <", 7, "something is missing"),
        (_READINGS + "glucose_mg_dl < NULL", 7, "never true"),
        (_READINGS + "glucose_mg_dl < low_alarm_mg_dl", 7, "unknown column 'low_alarm_mg_dl'"),
        (_READINGS + "glucose_mg_dl < low_mg_dl", 7, "ts; to have those of patients, say JOIN patients USING (patient)"),
        (_READINGS + f"AVG(glucose_mg_dl) {_OVER} > 1", 7, "a window cannot stand in a condition"),
        ("SELECT patient FROM readings", 6, "needs a WHERE"),
        ("SELECT patient\nFROM patients WHERE glucose_mg_dl < 70", 7, "unknown table"),
        (_READINGS + "glucose_mg_dl < 70\nLIMIT 3", 8, "LIMIT is not in the subset"),
        (_READINGS + "glucose_mg_dl < 70\nORDER BY ts", 8, "ORDER is not in the subset"),
        ("SELECT patient,\nweight FROM readings WHERE glucose_mg_dl < 70", 7, "unknown column 'weight'"),
        ("SELECT patient,\nglucose_mg_dl + 1 FROM readings WHERE glucose_mg_dl < 70", 7, "cannot be selected"),
        ("SELECT patient\nFROM readings JOIN meals ON 1 = 1 WHERE glucose_mg_dl < 70", 7, "no other join"),
        ("SELECT patient\nFROM readings LEFT JOIN patients USING (patient) WHERE glucose_mg_dl < 70", 7, "no other join"),
        ("SELECT patient\nFROM readings JOIN patients USING (device) WHERE glucose_mg_dl < 70", 7, "no other join"),
        (_windowed("AVG(glucose_mg_dl)"), 9, "not arithmetic"),
        (_windowed(f"MEDIAN(glucose_mg_dl) {_OVER}"), 9, "expected one of SUM, AVG"),
        (_windowed(f"AVG(device) {_OVER}"), 9, "expected glucose_mg_dl"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('RANGE', 'ROWS')}"), 9, "expected OVER"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('patient', 'device')}"), 9, "expected OVER"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('ts', 'ts DESC')}"), 9, "expected OVER"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('MINUTE', 'MONTH')}"), 9, "MINUTE, HOUR or DAY"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('ROW)', 'ROW EXCLUDE CURRENT ROW)')}"), 9, "EXCLUDE CURRENT ROW"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('ROW)', 'ROW EXCLUDE TIES)')}"), 9, "EXCLUDE TIES"),
        (_windowed("glucose_mg_dl AS x, 2 * glucose_mg_dl"), 9, "two columns of the subquery are called 'x'"),
        (_windowed("GREATEST(glucose_mg_dl, LAG(glucose_mg_dl) OVER (PARTITION BY patient ORDER BY ts))"), 9, "say COALESCE"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('CURRENT ROW', 'UNBOUNDED FOLLOWING')}"), 9, "expected OVER"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('10', '2000')}"), 9, "at most 24 hours"),
        (_windowed(f"LAG(glucose_mg_dl) {_OVER}"), 9, "expected LAG"),
        (_windowed("LAG(glucose_mg_dl, 2) OVER (PARTITION BY patient ORDER BY ts)"), 9, "expected LAG"),
        (_windowed("SUM(glucose_mg_dl) OVER (PARTITION BY patient ORDER BY ts)"), 9, "expected OVER"),
        (_windowed(f"REGR_SLOPE(glucose_mg_dl, ts) {_OVER}"), 9, "REGR_SLOPE(glucose_mg_dl, time_min)"),
        (_windowed(f"SUM(CASE WHEN glucose_mg_dl > 180 THEN glucose_mg_dl * glucose_mg_dl END) {_OVER}"), 9, "one column of the table with + - * / and numbers"),
        (_windowed(f"AVG(ROUND(glucose_mg_dl)) {_OVER}"), 9, "round what the aggregate gives, not what it is made of"),
        (_windowed(f"SUM(ABS(glucose_mg_dl - 120)) {_OVER}"), 9, "for ABS(x) say CASE WHEN"),
        (_windowed(f"SUM(GREATEST(70 - glucose_mg_dl, 0)) {_OVER}"), 9, "for GREATEST say CASE WHEN glucose_mg_dl < 70"),
        (_windowed(f"AVG(glucose_mg_dl - LAG(glucose_mg_dl) OVER (PARTITION BY patient ORDER BY ts)) {_OVER}"), 9, "(PARTITION BY patient ORDER BY ts)': inside an aggregate"),
        (_windowed(f"AVG(glucose_mg_dl / 0) {_OVER}"), 9, "not 0 to divide by"),
        (_windowed(f"COUNT(CASE WHEN glucose_mg_dl > 180 THEN 1 ELSE 0 END) {_OVER}"), 9, "counts what is not NULL, so all rows here; say SUM"),
        (_windowed(f"SUM(CASE WHEN glucose_mg_dl > 180 THEN 1e999999999 ELSE 0 END) {_OVER}"), 9, "a number up to"),
        (_windowed(f"MAX(CASE WHEN glucose_mg_dl > 180 THEN 1 ELSE 0 END) {_OVER}"), 9, "of a CASE there are SUM, AVG and COUNT"),
        (_windowed(f"COUNT_IF(glucose_mg_dl > 180 AND EXTRACT(HOUR FROM local_ts) < 6) {_OVER}"), 9, "the time of day is known of the newest reading only"),
        (_windowed(f"BOOL_OR(glucose_mg_dl > 180) {_OVER}"), 9, "is true or false"),
        (_windowed(f"MAX(CASE WHEN glucose_mg_dl > 180 THEN time_min END) {_OVER}"), 9, "is a moment; say time_min - it"),
        (_windowed(f"time_min - MAX(CASE WHEN glucose_mg_dl < 70 THEN time_min END) {_OVER}"), 9, "IS NOT NULL, > or >= a number"),
        (_windowed(f"MIN(glucose_mg_dl) {_OVER.replace('CURRENT ROW', f'INTERVAL {5} MINUTE PRECEDING')}"), 9, "of a window that ends before now"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('CURRENT ROW', f'INTERVAL {10} MINUTE PRECEDING')}"), 9, "expected OVER"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('CURRENT ROW', f'INTERVAL {5} MINUTE FOLLOWING')}"), 9, "expected OVER"),
        (_windowed(f"MEDIAN(glucose_mg_dl) {_OVER}"), 9, "a median above 180 is a share above a half"),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('10', '2000')}"), 9, 'a rule with every = "1 day"'),
        (_windowed(f"AVG(glucose_mg_dl) {_OVER.replace('RANGE', 'ROWS')}"), 9, "not so many rows"),
        (_windowed(f"COUNT_IF(glucose_mg_dl > time_min) {_OVER}"), 9, "cannot be calculated with"),
        (_windowed(f"COUNT_IF(glucose_mg_dl > glucose_mg_dl) {_OVER}"), 9, "with a number or a column of patients"),
        (_windowed(f"COUNT(*) FILTER (WHERE glucose_mg_dl > 180) {_OVER}"), 9, "for FILTER say SUM(CASE"),
        (_windowed(f"STDDEV_SAMP(glucose_mg_dl) {_OVER}", "x / -2.5 > 3"), 11, "multiplied by a number above 0"),
        (_windowed(f"STDDEV_SAMP(glucose_mg_dl) {_OVER}", "3 / x > 3"), 11, "standard deviation can be compared"),
        (_windowed(f"STDDEV_SAMP(glucose_mg_dl) {_OVER}", "x + 1 > 3"), 11, "standard deviation can be compared"),
        (_windowed(f"STDDEV_SAMP(glucose_mg_dl) {_OVER}", "x = 3"), 11, "standard deviation can be compared"),
        (_TIMELINE.format(f"COUNT(*) {_OVER}", "x > 3 AND glucose_mg_dl IS NOT NULL"), 9, "count a column"),
        (_TIMELINE.format(f"LAST_VALUE(glucose_mg_dl) {_OVER}", "x > 3"), 9, "read FROM readings"),
        (_TIMELINE.format(f"COUNT_IF(glucose_mg_dl > 180 AND carbs_g > 5) {_OVER}", "x > 3 AND glucose_mg_dl > 1"), 9, "about one thing"),
        (_TIMELINE.format(f"SUM(CASE WHEN carbs_g > 5 THEN 1 ELSE 2 END) {_OVER}", "x > 3 AND glucose_mg_dl > 1"), 9, "use SUM with ELSE 0"),
        (_TIMELINE.format(f"AVG(CASE WHEN carbs_g > 5 THEN 1 ELSE 0 END) {_OVER}", "x > 3 AND glucose_mg_dl > 1"), 9, "use SUM with ELSE 0"),
        (_TIMELINE.format(f"SUM(2 + CASE WHEN carbs_g > 5 THEN 1 ELSE 0 END) {_OVER}", "x > 3 AND glucose_mg_dl > 1"), 9, "calculate behind THEN"),
        (_TIMELINE.format(f"COUNT_IF(carbs_g IS NULL) {_OVER}", "x > 3 AND glucose_mg_dl > 1"), 9, "one column of the table with a number"),
        (_TIMELINE.format(f"COUNT_IF(NOT NOT carbs_g IS NULL) {_OVER}", "x > 3 AND glucose_mg_dl > 1"), 9, "NOT without IS NULL in it"),
        (_TIMELINE.format(f"SUM(carbs_g) {_OVER}", "x > 3"), 11, "add AND glucose_mg_dl IS NOT NULL"),
        (_TIMELINE.format(f"SUM(carbs_g) {_OVER}", "x > 3 OR glucose_mg_dl > 70"), 11, "add AND glucose_mg_dl IS NOT NULL"),
        ("SELECT patient FROM vitals\nWHERE pulse_bpm > 100 AND systolic_mm_hg > 140", 7, "write a rule for each"),
        ("SELECT patient FROM vitals\nWHERE 1 = 1", 7, "looks at none of"),
        ("SELECT patient FROM device_readings\nWHERE status = 'broken'", 7, "there are ok, warm_up"),
        ("SELECT patient FROM last_readings\nWHERE minutes_since > 20", 7, "minutes_since >= n"),
        ("SELECT patient FROM last_readings\nWHERE minutes_since >= 0", 7, "minutes_since >= n"),
        ("SELECT patient FROM last_readings\nWHERE minutes_since >= 44641", 7, "from 1 to 44640"),
        ("SELECT patient FROM last_readings\nWHERE minutes_since >= 153722867280912", 7, "from 1 to 44640"),
        (_READINGS + "(" * 3000 + "glucose_mg_dl < 70" + ")" * 3000, 6, "nested too deep"),
        (_READINGS + " AND ".join(["glucose_mg_dl < 70"] * 100), 6, "nested too deep"),
        (_READINGS + "NOT " * 3000 + "glucose_mg_dl < 70", 6, "nested too deep"),
        ("SELECT patient FROM\n(readings WHERE", 7, "not SQL"),
        ("SELECT patient FROM readings WHERE device = 'x", 6, "not closed"),
        ("DELETE FROM readings", 6, "; got DELETE"),
        ("COPY readings TO 'x.csv'", 6, "; got COPY"),
        ("SELECT patient FROM readings WHERE glucose_mg_dl < 70; DROP TABLE readings", 6, "got 2 statements"),
        ('SELECT patient FROM "readings" WHERE glucose_mg_dl < 70', 6, "unknown table"),
        ("SELECT ts FROM (SELECT ts, glucose_mg_dl FROM readings) AS r\nJOIN patients USING (patient) WHERE glucose_mg_dl < low_mg_dl", 7, "has to select patient"),
        ("SELECT patient FROM readings AS r\nJOIN patients AS p USING (patient) WHERE p.glucose_mg_dl < 70", 7, "unknown column 'p.glucose_mg_dl'"),
        ("SELECT patient FROM readings JOIN patients USING (patient)\nJOIN patients AS p USING (patient) WHERE glucose_mg_dl < 70", 7, "once, and no other join"),
        ("SELECT patient FROM (SELECT patient, 2 * glucose_mg_dl AS low_mg_dl FROM readings) AS r\nJOIN patients USING (patient) WHERE low_mg_dl > 70", 7, "patients has a column 'low_mg_dl', too"),
        ("WITH r AS (SELECT * FROM read_csv('x.csv'))\nSELECT patient FROM readings WHERE glucose_mg_dl < 70", 6, "WITH is not in the subset but for"),
        ("WITH RECURSIVE r AS (SELECT * FROM readings)\nSELECT patient FROM r WHERE glucose_mg_dl < 70", 6, "without RECURSIVE"),
        ("WITH r AS (SELECT * FROM readings)\nSELECT patient FROM r JOIN r AS s USING (patient) WHERE glucose_mg_dl < 70", 7, "no other join"),
        ("SELECT patient FROM (SELECT patient, SUM(glucose_mg_dl) OVER (w ORDER BY ts) AS x FROM readings\nWINDOW w AS (PARTITION BY patient)) AS r WHERE x > 1", 7, "but for whole windows"),
        ("SELECT patient FROM (SELECT patient,\nSUM(glucose_mg_dl) OVER w AS x FROM readings) AS r WHERE x > 1", 7, "expected OVER"),
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
        ('/*\nname = "x"\ntitle = "X"\nseverity = "loud"\n*/', 4, "expected urgent, warning, notice, technical"),
        ('/*\nname = "Big"\ntitle = "X"\nseverity = "notice"\n*/', 2, "name"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\ncolour = "red"\n*/', 5, "colour"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\nsustained = "a while"\n*/', 5, 'as "15 min"'),
        ('/*\nname = "x"\ntitle = "X\\nBcc: a@b"\nseverity = "notice"\n*/', 3, "title: expected printable text in one line"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\n[titles]\nde = "\\u202eX"\n*/', 5, "titles: expected printable"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\n[parameters.y]\ndefault = 1\nmin = 0\nmax = inf\n*/', 5, "a finite number"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\nclear = "glucose_mg_dl > 80 ORDER BY 1"\n*/', 5, "expected a predicate"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\nclear = "glucose_mg_dl > 99999"\n*/', 5, "never true"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\nenabled = "some"\n*/', 5, "enabled"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\nclear = "glucose_mg_dl >"\n*/', 5, "clear"),
        ('/*\nname = "x"\ntitle = "X"\nseverity = "notice"\nclear = "weight > 3"\n*/', 5, "unknown column"),
    ],
)  # fmt: skip
def test_a_front_matter_that_is_not_understood_is_refused(front: str, line: int, reason: str) -> None:
    with pytest.raises(RuleRefused, match=f"^line {line}: ") as refusal:
        plan([read_rule(front + "\nSELECT patient FROM readings WHERE glucose_mg_dl < 70")])
    assert reason in str(refusal.value)


@pytest.mark.parametrize("name", ["device_clock", "pattern_change"])
def test_a_rule_does_not_take_the_name_of_an_alert_that_no_rule_makes(name: str) -> None:
    sql = "SELECT patient FROM readings WHERE glucose_mg_dl < 70"
    with pytest.raises(RuleRefused, match=r"^line 2: .*choose another name"):
        check_rule(read_rule(_FRONT.replace("tried", name) + sql))


def test_what_an_editor_puts_before_a_text_is_no_part_of_it() -> None:
    assert read_rule("\ufeff" + _FRONT + "SELECT patient FROM readings WHERE glucose_mg_dl < 70").name == "tried"


def test_a_silence_takes_no_clearing_condition() -> None:
    front = _FRONT.replace("*/", 'clear = "minutes_since < 20"\n*/')
    with pytest.raises(RuleRefused, match="line 5: a silence ends with the next reading"):
        plan([read_rule(front + "SELECT patient FROM last_readings WHERE minutes_since >= 20")])


def test_more_rules_than_a_mask_has_bits_are_refused() -> None:
    rule = read_rule(_FRONT + "SELECT patient FROM readings WHERE glucose_mg_dl < 70")
    with pytest.raises(RuleRefused, match="at most 62 rules about glucose_mg_dl"):
        plan([rule] * 63)


def test_a_directory_of_rules_names_the_file_that_is_at_fault(tmp_path: Path) -> None:
    (tmp_path / "other.sql").write_text(
        _FRONT + "SELECT patient FROM readings WHERE glucose_mg_dl < 70", encoding="utf-8"
    )
    with pytest.raises(RuleRefused, match=r"^other\.sql, line 2: the file has to be called tried\.sql"):
        load_rules(tmp_path)


def test_a_name_may_say_of_which_table_it_is() -> None:
    sql = "SELECT r.patient FROM readings AS r JOIN patients AS p USING (patient) WHERE r.glucose_mg_dl < p.low_mg_dl"
    assert len(plan([read_rule(_FRONT + sql)]).rules) == 1


def test_a_rule_may_end_with_a_semicolon_and_have_comments() -> None:
    sql = "SELECT patient -- who\nFROM readings /* all */ WHERE glucose_mg_dl < 70;\n"
    assert len(plan([read_rule(_FRONT + sql)]).rules) == 1


def test_definitions_that_each_use_the_one_before_twice_are_read_at_once() -> None:
    inner = "SELECT patient, ts, glucose_mg_dl AS x FROM readings"
    for _ in range(14):
        inner = f"SELECT patient, ts, {' + '.join(['x * 0.25'] * 4)} AS x FROM ({inner}) AS before"
    assert len(plan([read_rule(_FRONT + f"SELECT patient FROM ({inner}) AS all_of_them WHERE x > 100")]).rules) == 1


def test_a_set_with_too_many_alternatives_is_refused() -> None:
    some = " OR ".join(
        f"glucose_mg_dl BETWEEN low_mg_dl + {n} AND high_mg_dl - {2 * n} OR glucose_mg_dl = low_mg_dl - {n}"
        for n in range(1, 6)
    )
    sql = f"SELECT patient, ts, COUNT_IF({some}) {_OVER} AS n FROM readings JOIN patients USING (patient)"
    with pytest.raises(RuleRefused, match=r"line 6: .*too many alternatives; expected fewer"):
        plan([read_rule(_FRONT + f"SELECT patient FROM ({sql}) AS r WHERE n > 3")])


def test_a_profile_stands_in_what_a_column_is_compared_with() -> None:
    counted = "COUNT_IF(profile = 'pregnancy' AND glucose_mg_dl > 140)"
    sql = f"SELECT patient, ts, {counted} {_OVER} AS n FROM readings JOIN patients USING (patient)"
    with pytest.raises(RuleRefused, match="line 6: \"profile = 'pregnancy'\": a profile stands in what a column"):
        plan([read_rule(_FRONT + f"SELECT patient FROM ({sql}) AS r WHERE n > 3")])
    said = sql.replace(counted, "COUNT_IF(glucose_mg_dl > CASE WHEN profile = 'pregnancy' THEN 140 ELSE 180 END)")
    assert len(plan([read_rule(_FRONT + f"SELECT patient FROM ({said}) AS r WHERE n > 3")]).rules) == 1


def test_a_column_of_another_table_is_named_with_that_table() -> None:
    sql = "SELECT patient FROM forecasts WHERE risk_below_70_in_30_percent > 50 AND glucose_mg_dl > 1"
    with pytest.raises(RuleRefused, match="of 44 the nearest are risk_below_70_in_30_min_percent, "):
        plan([read_rule(_FRONT + sql)])
    with pytest.raises(RuleRefused, match="bolus_u is a column of timeline"):
        plan([read_rule(_FRONT + sql.replace("risk_below_70_in_30_percent", "bolus_u"))])


def test_many_lists_are_read_without_recursion() -> None:
    lists = [f"glucose_mg_dl IN ({', '.join(str(100 * k + n) for n in range(100))})" for k in range(14)]
    assert len(plan([read_rule(_FRONT + "SELECT patient FROM readings WHERE " + " OR ".join(lists))]).rules) == 1


@pytest.mark.parametrize("name", ["n", "elapsed_min", "rate_mg_dl_per_min"])
def test_a_parameter_must_not_be_called_as_a_column_of_another_rule(name: str) -> None:
    front = _FRONT.replace("*/", f"[parameters.{name}]\ndefault = 5\nmin = 1\nmax = 9\n*/")
    rule = read_rule(front + f"SELECT patient FROM readings JOIN patients USING (patient) WHERE glucose_mg_dl < {name}")
    check_rule(rule)
    with pytest.raises(RuleRefused, match=f"^line 5: parameter {name}: .* has a column of that name; choose another"):
        check_rule(rule, load_rules())


def test_a_rule_must_not_give_a_column_the_name_of_a_parameter() -> None:
    sql = "SELECT patient FROM (SELECT patient, 2 * glucose_mg_dl AS meal_g FROM readings) AS r JOIN patients USING (patient) WHERE meal_g > 70"  # fmt: skip
    check_rule(read_rule(_FRONT + sql))
    with pytest.raises(RuleRefused, match="patients has a column 'meal_g', too"):
        check_rule(read_rule(_FRONT + sql), load_rules())
