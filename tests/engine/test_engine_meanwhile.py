"""While what was said becomes durable the engine goes on; when it does not, nothing that came meanwhile is lost."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from time import monotonic, sleep
from typing import Any

import pytest

from islet.engine.embedded import CONSUMER
from islet.engine.shard import Shard
from islet.model.topics import Topic
from islet.settings import Settings
from tests.engine.platforms import Platform, platform
from tests.engine.streams import Point

Later = Callable[..., Future[None]]
LONG_S = 60.0


def _said_of(p: Platform) -> list[tuple[str, str]]:
    return [(change.rule, change.patient) for change in p.said() if change.rule == "urgent_low"]


def _read_on_during(p: Platform, ending: Callable[[Later, tuple[Any, ...], dict[str, Any]], Future[None]]) -> None:
    """A low of p1 is said; before that is durable one of p2 comes, and is taken in; then the commit ends so."""
    real, held, asked = p.writer.later, Future[None](), Event()
    given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def later(*positional: Any, **named: Any) -> Future[None]:
        p.writer.later = real  # type: ignore[method-assign]
        given.append((positional, named))
        asked.set()
        return held

    p.writer.later = later  # type: ignore[method-assign]
    p.send(Point(0, 50))
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(p.engine.run_once, LONG_S)
        try:
            assert asked.wait(LONG_S)
            p.send(Point(0, 50, patient="p2"))
            until = monotonic() + LONG_S
            while p.engine.counters.readings < 2 and monotonic() < until:
                sleep(0.001)
            assert p.engine.counters.readings == 2
            assert _said_of(p) == []
            ending(real, *given[0]).result(LONG_S)
            held.set_result(None)
        except BaseException as error:
            held.set_exception(error)
            if not isinstance(error, OSError):
                raise
        running.result(LONG_S)


@pytest.mark.parametrize("beside", [False, True])
def test_what_comes_while_an_alert_is_on_its_way_is_said_after_it(beside: bool) -> None:
    with platform(beside=beside) as p:
        _read_on_during(p, lambda real, given, named: real(*given, **named))
        assert _said_of(p) == [("urgent_low", "p1"), ("urgent_low", "p2")]
        assert p.log.cursor(CONSUMER, Topic.GLUCOSE_READINGS) == p.log.end(Topic.GLUCOSE_READINGS)
        p.start()
        p.run(1)
        assert len(_said_of(p)) == 2


@pytest.mark.parametrize("beside", [False, True])
def test_when_the_alert_does_not_become_durable_all_of_it_is_said_after_recovery(beside: bool) -> None:
    def full(*ignored: Any) -> Future[None]:
        outcome = Future[None]()
        outcome.set_exception(OSError("the disk is full"))
        return outcome

    with platform(beside=beside) as p:
        with pytest.raises(OSError, match="the disk is full"):
            _read_on_during(p, full)
        assert _said_of(p) == []
        p.run(1)
        assert sorted(_said_of(p)) == [("urgent_low", "p1"), ("urgent_low", "p2")]


def test_a_snapshot_holds_nothing_that_is_not_durable_yet() -> None:
    with platform() as p:
        p.settings = Settings(engine_snapshot_s=0.0, silence_grace_s=0)
        p.start()
        _read_on_during(p, lambda real, given, named: real(*given, **named))
        p.start()
        p.run(1)
        assert sorted(_said_of(p)) == [("urgent_low", "p1"), ("urgent_low", "p2")]


def test_recovery_waits_for_what_is_on_its_way_and_says_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    take_in, fail = Shard.take_in, iter([False, True])

    def failing(shard: Shard, entries: Any) -> Any:
        if next(fail, False):
            raise ZeroDivisionError
        return take_in(shard, entries)

    with platform() as p:
        monkeypatch.setattr(Shard, "take_in", failing)
        real, held = p.writer.later, Future[None]()
        given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def later(*positional: Any, **named: Any) -> Future[None]:
            p.writer.later = real  # type: ignore[method-assign]
            given.append((positional, named))
            p.send(Point(0, 50, patient="p2"))
            return held

        p.writer.later = later  # type: ignore[method-assign]
        p.send(Point(0, 50))
        with pytest.raises(ZeroDivisionError):
            p.engine.run_once(0.0)
        with ThreadPoolExecutor(1) as thread:
            recovering = thread.submit(p.run, 1)
            assert wait([recovering], 0.2).not_done
            real(*given[0][0], **given[0][1]).result(LONG_S)
            held.set_result(None)
            recovering.result(LONG_S)
        assert _said_of(p) == [("urgent_low", "p1"), ("urgent_low", "p2")]
