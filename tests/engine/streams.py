"""Streams for the engine's tests: readings as one sees them (minutes, mg/dL), and the table that alerts fold into."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import pyarrow as pa

from islet.engine.reference import PatientReference, Reference
from islet.engine.rules import Rule, StreamPlan, load_rules, plan
from islet.engine.snapshot import dump, load
from islet.engine.state import EngineState
from islet.engine.step import Output, step, tick
from islet.model.alerts import Alert, AlertChange, fold
from islet.model.batch import ReadingRow, readings_batch
from islet.model.time import MINUTE_US

LATENESS_MIN = 15
NOBODY: Final[Mapping[str, int]] = MappingProxyType({})
NAMES = ("high", "low", "no_data", "seed_demonstration", "urgent_low")
RULES = tuple(rule for rule in load_rules() if rule.name in NAMES)


def glucose(rules: Sequence[Rule]) -> StreamPlan:
    """These rules made ready."""
    return plan(rules).streams["glucose_mg_dl"]


SHIPPED = glucose(RULES)
LIMITS = {name: parameter.integer(parameter.default) for name, parameter in plan(RULES).parameters.items()}


def mask(tags: Iterable[str], of: StreamPlan = SHIPPED) -> int:
    """The rules that look at a patient with these tags."""
    return sum(1 << bit for bit, rule in enumerate(of.rules) if rule.applies_to(tags))


def looking_at(otherwise: int, patients: Mapping[str, int] = NOBODY, *, of: StreamPlan = SHIPPED) -> Reference:
    """A reference with these masks, and the limits as shipped."""
    limits = tuple(LIMITS[name] for name in of.parameters)
    named = {patient: PatientReference(mask=mask, parameters=limits) for patient, mask in patients.items()}
    return Reference(otherwise=PatientReference(mask=otherwise, parameters=limits), patients=named)


EVERYTHING = looking_at(mask({"simulated"}))
REAL_PATIENTS = looking_at(mask(()))


class Point(NamedTuple):
    minute: float
    mg_dl: float
    device: str = "cgm"
    patient: str = "p1"

    @property
    def us(self) -> int:
        return round(self.minute * MINUTE_US)


class Engine:
    """An engine and the table of what it has said."""

    def __init__(
        self,
        plan: StreamPlan = SHIPPED,
        reference: Reference = REAL_PATIENTS,
        *,
        lateness_us: int = LATENESS_MIN * MINUTE_US,
    ) -> None:
        self.plan, self.reference = plan, reference
        self.state = EngineState(lateness_us=lateness_us)
        self.table: dict[str, Alert] = {}
        self.said: list[AlertChange] = []

    def read(self, *points: Point) -> Output:
        return self._fold(step(self.state, batch(points), self.reference, self.plan))

    def tick(self, minute: float) -> Output:
        return self._fold(tick(self.state, round(minute * MINUTE_US), self.reference, self.plan))

    def restart(self) -> None:
        """Saved and loaded."""
        before = dump(self.state)
        self.state = load(before, lateness_us=self.state.lateness_us)
        assert dump(self.state) == before

    def episodes(self) -> dict[str, tuple[float, float | None]]:
        return episodes(self.table.values())

    def _fold(self, output: Output) -> Output:
        for change in output.changes:
            alert = fold(self.table.get(change.id), change, 0)
            assert alert is not None, "a change of an alert that nobody has opened"
            self.table[change.id] = alert
        self.said += output.changes
        return output


def episodes(alerts: Iterable[Alert], from_us: int = 0) -> dict[str, tuple[float, float | None]]:
    """What was not retracted: "rule~patient@onset" and the episode (minutes since `from_us`; None: still active)."""
    found: dict[str, tuple[float, float | None]] = {}
    for a in alerts:
        if not a.retracted:
            onset = (a.onset_us - from_us) / MINUTE_US
            end = None if a.cleared_us is None else (a.cleared_us - from_us) / MINUTE_US
            found[f"{a.rule}~{a.patient}@{onset:g}"] = (onset, end)
    return found


def short(changes: Iterable[AlertChange]) -> list[tuple[str, str, float, float]]:
    """Changes as (change, rule, onset, at), in minutes."""
    return [(c.change, c.rule, c.onset_us / MINUTE_US, c.at_us / MINUTE_US) for c in changes]


def batch(points: Sequence[Point]) -> pa.RecordBatch:
    return readings_batch(
        [ReadingRow(p.patient, p.device, p.us, round(p.mg_dl * 10), p.mg_dl, 0, 0, 0) for p in points]
    )
