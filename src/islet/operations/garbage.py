"""Python's search for garbage in cycles, set for a process that serves."""

import gc
from typing import Final

_NEW_OBJECTS: Final = 50_000
"""That may be there before they are looked through. Python's own 700 are fewer than wait for one group of the log's
writer, so that a tenth of a busy gateway's time went into looking at messages that were all still needed."""


def rarely() -> None:
    """What is there now is not looked through again, and what comes later less often. For who owns the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
