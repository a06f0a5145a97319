"""Health, readiness and metrics over HTTP."""

from collections.abc import Iterator, Sequence
from threading import Event

import httpx
import pytest
from starlette.applications import Starlette

from islet.errors import LogDamaged
from islet.log.base import CursorMove
from islet.log.memory import MemoryLog
from islet.model.topics import Topic
from islet.operations.metrics import CountsCollector, LogCollector, Metrics, WorkerCollector, lags_of
from islet.operations.routes import routes
from islet.operations.workers import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    one = Worker("engine", lambda: None)
    yield one
    one.stop()
    one.join(5)


def client(
    workers: list[Worker], *, accepting: bool = True, host: str = "127.0.0.1", readers: Sequence[str] = ()
) -> httpx.AsyncClient:
    metrics = Metrics()
    metrics.watch(WorkerCollector(workers))
    metrics.watch(CountsCollector("intake", "Events.", lambda: {"accepted": 3}))

    def failing() -> list[str]:
        return [worker.name for worker in workers if not worker.alive or worker.failing]

    def starting() -> list[str]:
        return [worker.name for worker in workers if not worker.ready.is_set()] + ([] if accepting else ["doors"])

    app = Starlette(routes=routes(metrics, failing, starting, now=lambda: 7, speed=60.0, readers=readers))
    transport = httpx.ASGITransport(app, client=(host, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://islet")


async def test_a_worker_that_does_not_run_makes_it_unhealthy(worker: Worker) -> None:
    async with client([worker]) as http:
        answer = await http.get("/healthz")
        assert (answer.status_code, answer.json()["failing"]) == (503, ["engine"])
        worker.start()
        assert worker.ready.wait(5)
        assert (await http.get("/healthz")).status_code == 200


async def test_it_is_ready_when_the_workers_have_caught_up_and_the_door_is_open(worker: Worker) -> None:
    async with client([worker]) as http:
        assert "engine" in (await http.get("/readyz")).json()["waiting_for"]
        worker.start()
        assert worker.ready.wait(5)
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.json()["now_us"], answer.json()["speed"]) == (200, 7, 60.0)
    async with client([worker], accepting=False) as http:
        assert (await http.get("/readyz")).status_code == 503


async def test_metrics_are_for_this_machine_only() -> None:
    async with client([]) as http:
        assert 'islet_intake_total{what="accepted"} 3.0' in (await http.get("/metrics")).text
        assert (await http.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})).status_code == 403
    async with client([], host="192.0.2.1") as http:
        assert (await http.get("/metrics")).status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.0.2.1", 200),
        ("::ffff:192.0.2.1", 200),
        ("2001:db8::7", 200),
        ("::ffff:127.0.0.1", 200),
        ("192.0.3.1", 403),
        ("2001:db9::7", 403),
        ("", 403),
    ],
)
async def test_metrics_are_for_the_networks_that_were_named(host: str, status: int) -> None:
    async with client([], host=host, readers=("192.0.2.0/24", "2001:db8::/32")) as http:
        assert (await http.get("/metrics")).status_code == status
        assert (await http.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})).status_code == 403


class Away(MemoryLog):
    """A log that fails, or does not answer until it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(partitions=1)
        self.error, self.back, self.asked = error, Event(), 0

    def cursors(self) -> Sequence[CursorMove]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.back.wait(10.0)
        return super().cursors()


def told(metrics: Metrics) -> list[str]:
    return [line for line in metrics.page().decode().splitlines() if line.startswith(("islet_log", "islet_intake"))]


@pytest.mark.parametrize("error", [OSError("Kafka: no answer"), LogDamaged("no row"), None])
def test_a_log_that_does_not_answer_takes_no_other_metric_with_it(error: Exception | None) -> None:
    log, metrics = Away(error), Metrics()
    metrics.watch(LogCollector(log, list, patience_s=0.05))
    metrics.watch(CountsCollector("intake", "Events.", lambda: {"accepted": 3}))
    assert told(metrics) == ["islet_log_answers 0.0", 'islet_intake_total{what="accepted"} 3.0']


def test_a_log_that_takes_its_time_is_not_asked_twice_meanwhile_and_is_there_again_when_it_is() -> None:
    log, metrics = Away(), Metrics()
    metrics.watch(LogCollector(log, list, patience_s=0.05))
    assert told(metrics) == told(metrics) == ["islet_log_answers 0.0"]
    assert log.asked == 1
    log.back.set()
    while told(metrics) == ["islet_log_answers 0.0"]:
        pass
    assert "islet_log_answers 1.0" in told(metrics)


def test_the_lag_of_a_consumer_is_summed_over_partitions() -> None:
    topic = Topic.ALERTS
    cursors = [CursorMove(consumer="a", topic=topic, partition=p, offset=o) for p, o in ((0, 5), (1, 2))]
    assert lags_of({topic: (5, 10)}, cursors) == {("a", topic): 8}
