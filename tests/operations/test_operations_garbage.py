"""How often Python looks for garbage, in a process of its own."""

import subprocess
import sys

_COUNT_SEARCHES = """
import gc
from islet.operations import garbage
searches = []
garbage.rarely()
gc.callbacks.append(lambda phase, _: searches.append(phase))
waiting = [[number] for number in range({objects})]
print(len(searches))
"""


def test_messages_that_wait_for_the_log_are_not_looked_through_but_an_ever_growing_heap_is() -> None:
    def searches(objects: int) -> int:
        code = _COUNT_SEARCHES.format(objects=objects)
        return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)

    assert searches(10_000) == 0
    assert searches(200_000) > 0
