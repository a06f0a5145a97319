"""Prometheus metrics of one process. No label ever holds a patient, a device or a value."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from islet.errors import IsletError
from islet.forecast.drift import AHEAD_MIN, Errors
from islet.forecast.serving import SHADOWS, SHIPPED
from islet.log.base import CursorMove, Log
from islet.model.topics import Topic
from islet.operations.workers import Worker

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 30.0)
_PATIENCE_S = 3.0
"""A Prometheus gives up after ten seconds."""
_Figures = tuple[dict[Topic, tuple[int, ...]], list[CursorMove]]
Counts = Callable[[], Mapping[str, int]]


class Metrics:
    """What `/metrics` shows: the log's ends and lags, the counters of each part, the latency of alerts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.alert_latency_s = Histogram(
            "islet_alert_latency_seconds",
            "From the commit of a reading to the commit of the alert that it caused.",
            registry=self.registry,
            buckets=_LATENCY_BUCKETS_S,
        )

    def watch(self, collector: Collector) -> None:
        """Ask this collector, too, at each scrape."""
        self.registry.register(collector)

    def page(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)


class LogCollector(Collector):
    """Entries per topic, and how far behind each consumer is; and whether the log says so at all: one on other machines
    may be away, which must not take the other metrics with it. Any thread may collect."""

    def __init__(
        self, log: Log, more_cursors: Callable[[], Sequence[CursorMove]], patience_s: float = _PATIENCE_S
    ) -> None:
        self._log, self._more, self._patience_s = log, more_cursors, patience_s
        self._asked: Future[_Figures] | None = None
        self._asking = threading.Lock()

    def collect(self) -> Iterable[Metric]:
        figures = self._figures()
        answers = GaugeMetricFamily("islet_log_answers", "1 while the log tells its ends and cursors.")
        answers.add_metric([], float(figures is not None))
        yield answers
        if figures is None:
            return
        ends, cursors = figures
        appended = CounterMetricFamily("islet_log_entries", "Entries ever appended.", labels=["topic"])
        for topic, end in ends.items():
            appended.add_metric([topic], sum(end))
        lags = GaugeMetricFamily("islet_consumer_lag", "Entries not yet consumed.", labels=["consumer", "topic"])
        for (consumer, topic), lag in sorted(lags_of(ends, cursors).items()):
            lags.add_metric([consumer, topic], lag)
        yield appended
        yield lags

    def _figures(self) -> _Figures | None:
        """What the log says; None where it fails, or takes too long. A question that is under way is not asked again."""
        with self._asking:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(target=self._ask, args=(self._asked,), name="log-figures", daemon=True).start()
            asked = self._asked
        try:
            return asked.result(self._patience_s)
        except (OSError, IsletError):  # and TimeoutError
            return None

    def _ask(self, asked: Future[_Figures]) -> None:
        try:
            ends = {topic: self._log.end(topic) for topic in Topic}
            asked.set_result((ends, [*self._log.cursors(), *self._more()]))
        except Exception as error:
            asked.set_exception(error)


def lags_of(ends: Mapping[Topic, Sequence[int]], cursors: Iterable[CursorMove]) -> dict[tuple[str, Topic], int]:
    """Entries that each consumer has not yet done, per topic that it has a cursor in."""
    lags: dict[tuple[str, Topic], int] = {}
    for cursor in cursors:
        key = (cursor.consumer, cursor.topic)
        behind = ends[cursor.topic][cursor.partition] - cursor.offset
        lags[key] = lags.get(key, 0) + max(0, behind)
    return lags


class CountsCollector(Collector):
    """Counters and gauges of a part, asked for at each scrape: `islet_<part>{what="…"}`."""

    def __init__(self, part: str, sentence: str, counts: Counts, *, grows: bool = True) -> None:
        self._name, self._sentence, self._counts, self._grows = f"islet_{part}", sentence, counts, grows

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily if self._grows else GaugeMetricFamily
        metric = family(self._name, self._sentence, labels=["what"])
        for what, count in self._counts().items():
            metric.add_metric([what], count)
        yield metric


class WorkerCollector(Collector):
    """Whether each worker runs, and how often it has failed."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("islet_worker_up", "1 while the worker runs and does not fail.", labels=["worker"])
        failures = CounterMetricFamily("islet_worker_failures", "Steps that raised.", labels=["worker"])
        for worker in self._workers:
            up.add_metric([worker.name], float(worker.alive and not worker.failing))
            failures.add_metric([worker.name], worker.failures)
        yield up
        yield failures


class ForecastCollector(Collector):
    """How far forecasts miss, by model and sensor (its type, else how often it reads), and which model serves."""

    def __init__(self, errors: Callable[[], Errors], served: Callable[[], str]) -> None:
        self._errors, self._served = errors, served

    def collect(self) -> Iterator[Metric]:
        labels = ["model", "sensor"]
        sentence = f"Rolling mean absolute error {AHEAD_MIN} minutes ahead."
        error = GaugeMetricFamily("islet_forecast_error_mg_dl", sentence, labels=labels)
        weight = GaugeMetricFamily("islet_forecast_error_weight", "How many forecasts the error is of.", labels=labels)
        for one in self._errors().errors:
            error.add_metric([one.model, str(one.sensor)], one.mean_mg_dl)
            weight.add_metric([one.model, str(one.sensor)], one.weight)
        served = GaugeMetricFamily("islet_forecast_served", "1 for the model that forecasts now.", labels=["model"])
        for model in (SHIPPED, *SHADOWS):
            served.add_metric([model], float(model == self._served()))
        yield error
        yield weight
        yield served
