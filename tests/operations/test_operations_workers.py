"""Workers go on after a fault, and say that they are ill meanwhile."""

import threading
from collections.abc import Callable

from islet.operations.workers import Worker


def test_a_step_that_raises_is_tried_again_and_counted() -> None:
    done = threading.Event()
    faults = iter([ValueError("first"), None])

    def step() -> None:
        fault = next(faults, None)
        if fault is not None:
            raise fault
        done.set()

    worker = Worker("test", step)
    worker.start()
    assert done.wait(5)
    worker.stop()
    assert worker.join(5)
    assert (worker.failures, worker.failing) == (1, False)


def test_it_is_ready_only_after_its_beginning_has_succeeded() -> None:
    order: list[str] = []
    tries = iter([False, True])
    worked = threading.Event()

    def before() -> None:
        if not next(tries):
            raise OSError("not yet")
        order.append("before")

    def step() -> None:
        order.append("step")
        worked.set()

    worker = Worker("test", step, before=before, after=lambda: order.append("after"))
    worker.start()
    assert worker.ready.wait(5)
    assert worked.wait(5)
    worker.stop()
    assert worker.join(5)
    assert (order[0], order[1], order[-1]) == ("before", "step", "after")


def test_a_stop_ends_a_worker_that_only_fails() -> None:
    def broken() -> None:
        raise RuntimeError

    worker = Worker("test", broken)
    worker.start()
    worker.stop()
    assert worker.join(5)
    assert worker.failing


def test_what_never_started_has_ended() -> None:
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    assert Worker("test", nothing).join(0.1)
