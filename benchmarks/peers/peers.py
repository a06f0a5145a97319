"""Who is compared, in which environment, on how many readings, and what cannot be compared."""

from typing import Final, NamedTuple


class Peer(NamedTuple):
    """`environment` names `requirements/peers-NAME.lock`; "" is Islet's own. `readings`: how many of the first
    arrivals (cost is given for each reading). `compared`: whether its evaluations can be held against the rule's."""

    title: str
    kind: str  # "islet", "python" or "jvm"
    environment: str
    readings: int
    compared: bool
    note: str


ALL: Final = 10_000_000

PEERS: Final = {
    "islet_engine": Peer("Islet, one process", "islet", "", ALL, True, "late readings revise; answers at once"),
    "spark_islet": Peer("Islet on Spark, two cores", "islet", "", 2_000_000, True, "the same rules, through JSON"),
    "plain": Peer("dict and deque", "python", "", ALL, True, "doubles count twice; late readings are judged by what came"),
    "duckdb_batches": Peer("DuckDB OVER RANGE, micro-batches", "python", "", ALL, True, "asks again whom a batch touches"),
    "polars_batches": Peer("Polars rolling, micro-batches", "python", "polars", ALL, True, "asks again whom a batch touches"),
    "spark_tumbling": Peer("Spark, tumbling 10 min (the seed's way)", "jvm", "spark", 2_000_000, False,
        "one answer for each window, not for each reading; later than the watermark is dropped"),
    "spark_sliding": Peer("Spark, sliding 10 min by 1 min", "jvm", "spark", 500_000, False,
        "ten windows for each reading; an answer for each window; later than the watermark is dropped"),
    "spark_state": Peer("Spark, state for each patient (pandas)", "jvm", "spark", 100_000, True,
        "late readings revise; a Python call for each patient of a batch"),
    "flink_sql": Peer("Flink SQL OVER RANGE and deduplication", "jvm", "flink", 1_000_000, True,
        "answers only when the watermark has passed, 15 minutes later"),
}  # fmt: skip
