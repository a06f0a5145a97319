"""Rows find their partition by machine code; `partition_of` says where they belong."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from islet.log.partitioning import order_by_partition
from islet.model.topics import partition_of


@given(names=st.lists(st.text(max_size=20)), cut=st.integers(0, 5), partitions=st.integers(1, 9))
def test_rows_are_ordered_by_their_patients_partition_and_keep_their_order_in_it(
    names: list[str], cut: int, partitions: int
) -> None:
    column = pa.array(names, pa.utf8()).slice(cut)
    order, counts = order_by_partition(column, partitions)
    belongs = np.array([partition_of(name, partitions) for name in names[cut:]], np.int64)
    assert order.tolist() == np.argsort(belongs, kind="stable").tolist()
    assert counts.tolist() == np.bincount(belongs, minlength=partitions).tolist()
