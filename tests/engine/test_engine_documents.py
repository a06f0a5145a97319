"""Documents of changes are those that the codec writes, byte for byte."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from islet.engine.changes import Changes
from islet.engine.ids import Ids
from islet.engine.said import CHANGE_WIDTH, KINDS
from islet.engine.series import NEVER
from islet.engine.state import RuleName
from islet.model.alerts import Severity
from islet.model.codec import encode_change

_IDS = st.text(max_size=40) | st.text(st.characters(max_codepoint=127), max_size=40)
_NAMES = st.text(st.characters(categories=["L", "N"], include_characters="_-"), min_size=1, max_size=30)
_TIMES = st.integers(1 - 2**62, 2**62)
_ROWS = st.tuples(
    st.integers(0, len(KINDS) - 1), st.integers(0, 2), st.integers(0, 5), _TIMES, _TIMES, st.integers(-1, 5),
    st.integers(0, 0xFFFF), _TIMES | st.just(NEVER), st.integers(-1, 9),
)  # fmt: skip


@given(st.lists(_ROWS, max_size=20), st.tuples(*[_IDS] * 6), st.lists(_NAMES, min_size=3, max_size=3), st.data())
def test_a_document_is_what_the_codec_writes(
    rows: list[tuple[int, ...]], texts: tuple[str, ...], names: list[str], data: st.DataObject
) -> None:
    patients, devices = Ids(), Ids()
    of_patients = patients.numbers(pa.array(texts, pa.utf8()))
    of_devices = devices.numbers(pa.array(texts, pa.utf8()))
    rules = [RuleName(name, data.draw(st.sampled_from(Severity))) for name in names]
    numbers = np.array(rows, np.int64).reshape(-1, CHANGE_WIDTH)
    numbers[:, 2] = of_patients[numbers[:, 2]]
    numbers[:, 5] = np.where(numbers[:, 5] < 0, -1, of_devices[numbers[:, 5]])
    said = Changes(numbers, patients, devices, rules)
    found = said.documents()
    assert [str(text).encode() for text in found.column("body").to_pylist()] == [encode_change(c) for c in said.records]
    assert found.column("patient").to_pylist() == [change.patient for change in said.records]
    assert found.column("type").to_pylist() == [change.change for change in said.records]
