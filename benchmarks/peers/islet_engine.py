"""Islet's engine in one process: `python -m benchmarks.peers.islet_engine INPUT OUTPUT`.

It says episodes, not evaluations: a reading is flagged when it lies in an episode. That is looked up once at the end,
in the time of the empty run too.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.data import MINUTE_US, PATIENTS, RULE
from islet.engine.quantities import GLUCOSE
from islet.engine.reference import PatientReference, Reference
from islet.engine.rules import plan, read_rule
from islet.engine.state import EngineState
from islet.engine.step import step, tick


def main(input: Path, output: Path) -> None:
    rule = f'/*\nname = "peers"\ntitle = "The rule of the comparison"\nseverity = "notice"\n*/\n{RULE}'
    ruled, everybody = plan([read_rule(rule)]).streams[GLUCOSE], Reference(otherwise=PatientReference(mask=1))
    state = EngineState(lateness_us=15 * MINUTE_US)
    state.adopt(ruled, everybody)
    state.reserve(PATIENTS)
    tick(state, 0, everybody, ruled)
    said = []
    for file in sorted(input.glob("*.parquet")):
        for batch in pq.read_table(file).combine_chunks().to_batches():
            result = step(state, batch, everybody, ruled)
            assert result.overflows == result.history == result.conflicts == 0
            said.append(result.said.documents())
    pq.write_table(pa.Table.from_batches(said), output / "changes.parquet", compression="none")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
