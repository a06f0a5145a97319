"""Rules over the whole history: any SELECT that DuckDB can run, asked now and then (`every` in the front matter)."""

from sqlglot import exp

from islet.engine.sql import first_line, parse, refused
from islet.engine.tables import HISTORY_TABLES
from islet.errors import RuleRefused

_EXPECTED = "a rule with `every` is one SELECT of patient and ts"


def check_history(text: str) -> None:
    """Raises RuleRefused unless the text is one SELECT of patient and ts over the tables that there are."""
    statement = parse(text)
    if not isinstance(statement, exp.Select):
        raise RuleRefused(f"{_EXPECTED}; got {statement.key.upper()}", line=first_line(text))
    outputs = [output.alias_or_name.lower() for output in statement.expressions]
    if sorted(outputs) != ["patient", "ts"]:
        raise refused(f"{_EXPECTED}; got {', '.join(outputs)}", statement)
    if any(with_.args.get("recursive") for with_ in statement.find_all(exp.With)):
        raise refused("WITH RECURSIVE may never end; expected a SELECT without it", statement)
    own = {with_.alias_or_name for with_ in statement.find_all(exp.CTE)}
    for table in statement.find_all(exp.Table):
        plain = isinstance(table.this, exp.Identifier) and not table.db
        if not plain or table.name.lower() not in {*HISTORY_TABLES, *own}:
            raise refused(f"unknown table {table.sql()!r}; the tables are {', '.join(HISTORY_TABLES)}", table)
