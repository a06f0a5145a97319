"""Memory that is made ready ahead is as it was, and is made ready a large page at a time."""

import numpy as np
import pytest

from islet.engine.memory import aligned, prefault

_PAGE = 1 << 21


@pytest.mark.parametrize(
    ("begin", "end", "pages"), [(0, 3 * _PAGE, 4), (17, 40, 1), (_PAGE - 5, 2 * _PAGE + 5, 3), (9, 9, 0)]
)
def test_what_is_in_it_stays_and_others_may_go_on_in_between(begin: int, end: int, pages: int) -> None:
    memory = aligned(4 * _PAGE, np.dtype(np.uint8))
    memory[:] = np.arange(4 * _PAGE) % 251
    rested = list[int]()
    prefault(memory[begin:end], lambda: rested.append(1))
    assert pages - 1 <= len(rested) <= pages + 1  # where it begins in a large page is the system's choice
    assert np.array_equal(memory, np.arange(4 * _PAGE) % 251)
