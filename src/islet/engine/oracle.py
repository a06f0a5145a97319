"""Rules on whole tables, by DuckDB: history rules as they run, and for the others what the kernel has to agree with.

DuckDB is imported when it is first asked, for it is asked at night. It gets no file, no network
and no setting: a rule is somebody's text.
"""

import re
from collections.abc import Mapping
from threading import Timer
from typing import Any, Final

import pyarrow as pa

from islet.errors import RuleRefused, RuleTooCostly

_CLOSED: Final = (
    "SET TimeZone = 'UTC'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET temp_directory = ''",  # nothing of anybody's readings goes to a disk in the clear
    "SET memory_limit = '1GB'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)

DAYS: Final = """
SELECT patient, CAST(local_ts AS DATE) AS day, MAX(ts) AS ts, COUNT(*) AS readings,
  LEAST(COUNT(DISTINCT EXTRACT(HOUR FROM local_ts) * 12 + FLOOR(EXTRACT(MINUTE FROM local_ts) / 5)) / 2.88, 100)
    AS active_percent,
  AVG(glucose_mg_dl) AS mean_mg_dl,
  100.0 * COUNT(*) FILTER (glucose_mg_dl < 70) / COUNT(*) AS tbr_percent,
  100.0 * COUNT(*) FILTER (glucose_mg_dl BETWEEN 70 AND 180) / COUNT(*) AS tir_percent,
  100.0 * COUNT(*) FILTER (glucose_mg_dl > 180) / COUNT(*) AS tar_percent
FROM readings WHERE method = 'cgm' GROUP BY patient, CAST(local_ts AS DATE)
"""
"""The table `days`, made of the sensor's `readings` (fingersticks are not worn, and taken when something is felt): what
a patient's local day was like. `active_percent`: in how many of its 5-minute slots there is a reading; tir, tbr and
tar: the share of readings from 70 to 180 mg/dL, below, and above (doi:10.2337/dci19-0028). `ts` is the day's last
reading."""


def run(
    sql: str, tables: Mapping[str, pa.Table], *, within_s: float | None = None, most_rows: int | None = None
) -> list[tuple[Any, ...]]:
    """The rows (n) that the rule's SELECT gives over these tables; instants are UTC without a zone.

    `days` is made where the `readings` say by what `method` they are. Raises RuleRefused where DuckDB cannot run it, and
    RuleTooCostly where it takes longer than `within_s` seconds or 1 GB, or gives more than `most_rows`.
    """
    import duckdb

    connection = duckdb.connect()
    watch = Timer(within_s, connection.interrupt) if within_s is not None else None
    try:
        for name, table in tables.items():
            connection.register(name, table)
        if "readings" in tables and "method" in tables["readings"].column_names:
            connection.execute(f"CREATE TEMP VIEW days AS {DAYS}")
        for statement in _CLOSED:
            connection.execute(statement)
        if watch is not None:
            watch.start()
        found = connection.execute(sql)
        rows: list[tuple[Any, ...]] = found.fetchall() if most_rows is None else found.fetchmany(most_rows + 1)
    except duckdb.InterruptException:
        raise RuleTooCostly(f"it took longer than {within_s:g} s; join less", line=1) from None
    except duckdb.OutOfMemoryException:
        raise RuleTooCostly("it needed more than 1 GB of memory; join less", line=1) from None
    except duckdb.Error as error:
        at = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
        raise RuleRefused(f"DuckDB: {str(error).splitlines()[0]}", line=int(at[1]) if at else 1) from None
    finally:
        if watch is not None:
            watch.cancel()
            if watch.ident is not None:
                watch.join()  # nobody interrupts a connection that is closed
        connection.close()
    if most_rows is not None and len(rows) > most_rows:
        raise RuleTooCostly(f"it gave more than {most_rows} rows; expected at most one for each patient", line=1)
    return rows
