"""What the engine knows of each patient, by stream: made from the rules, what was set and the patients' records, and made
again for the few who have changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from islet.engine.frontmatter import Rule
from islet.engine.parameters import Layers, resolved
from islet.engine.reference import ERASED, Change, PatientReference, Reference
from islet.engine.rules import Plan, StreamPlan
from islet.engine.zones import zone_table
from islet.model.people import Patient

NO_LINES: Final[Mapping[str, bytes]] = {}
FEW: Final = 1_000
"""So many patients who have changed are told to who has the reference of before; more are a new reference."""
_CHANGES: Final = 32
_TARGET_SCALE: Final = 10  # of Patient.low_mg_dl and high_mg_dl
_DIGEST_BYTES: Final = 16


def references(
    plan: Plan,
    layers: Layers,
    patients: Iterable[Patient],
    *,
    time_zone: str = "UTC",
    lines: Mapping[str, bytes] = NO_LINES,
    erased: Iterable[str] = (),
) -> dict[str, Reference]:
    """Per stream, what the engine has to know of each patient. Only those who differ from a patient of whom nothing
    is known (no tags, no profile, `time_zone`, the default target range) are named; linear in the patients. `lines`: by
    patient, what their forecasts are corrected by (`islet.model.ahead.corrections`). `erased`: to be forgotten."""
    return References(plan, layers, time_zone=time_zone, lines=lines, erased=erased).taken(patients)


class References:
    """The references of a plan, which follow the patients. `layers` may be replaced, where those who are taken next are all
    for whom they differ. One thread at a time."""

    def __init__(
        self,
        plan: Plan,
        layers: Layers,
        *,
        time_zone: str = "UTC",
        lines: Mapping[str, bytes] = NO_LINES,
        erased: Iterable[str] = (),
    ) -> None:
        self.layers = layers
        self._plan, self._lines = plan, lines
        self._tags = _tags_that_matter(plan, layers)
        nobody = Patient(id="", time_zone=time_zone)
        self._streams = {name: _Stream(plan, ready, layers, nobody) for name, ready in plan.streams.items()}
        self._alike: dict[object, list[PatientReference]] = {}  # by what tells patients apart, one for each stream
        for stream in self._streams.values():
            stream.put(dict.fromkeys(erased, ERASED))

    def taken(self, patients: Iterable[Patient]) -> dict[str, Reference]:
        """The references with these patients as they are now; that of a stream is the same where nobody changes."""
        streams = list(self._streams.values())
        found: list[dict[str, PatientReference]] = [{} for _ in streams]
        for patient in patients:
            for stream, changed, known in zip(streams, found, self._known(patient), strict=True):
                if known is not stream.otherwise or patient.id in stream.named:
                    changed[patient.id] = known
        for stream, changed in zip(streams, found, strict=True):
            stream.put(changed)
        return {name: stream.reference for name, stream in self._streams.items()}

    def _known(self, patient: Patient) -> list[PatientReference]:
        """What is known of a patient, for each stream. Patients of whom the same is known share one record."""
        if patient.id in self.layers.by_whom:
            known = [stream.made(patient, self.layers) for stream in self._streams.values()]
        else:
            key = self._key(patient)
            alike = self._alike.get(key)
            if alike is None:
                alike = self._alike[key] = [stream.made(patient, self.layers) for stream in self._streams.values()]
            known = alike
        lines = self._lines.get(patient.id)
        if lines is None:
            return known
        streams = zip(self._streams.values(), known, strict=True)
        return [replace(one, lines=lines) if stream.foretells else one for stream, one in streams]

    def _key(self, patient: Patient) -> object:
        """What tells patients without an override of their own apart."""
        tags = self._tags.intersection(patient.tags) if patient.tags else frozenset[str]()
        return tags, patient.profile, patient.low_mg_dl, patient.high_mg_dl, patient.time_zone


class _Stream:
    """The reference of one stream, which follows the patients."""

    def __init__(self, plan: Plan, ready: StreamPlan, layers: Layers, nobody: Patient) -> None:
        self._plan, self._ready = plan, ready
        self.foretells = ready.foreteller is not None
        self._local = ready.program.local_minute >= 0 or self.foretells
        self._zones = {"UTC": 0}
        self._rows: dict[PatientReference, PatientReference] = {}  # one of those that are equal
        self.named: dict[str, PatientReference] = {}
        self.otherwise = self.made(nobody, layers)
        self._digest = 0
        self.reference = self._referred(())

    def made(self, patient: Patient, layers: Layers) -> PatientReference:
        """What is known of a patient: the very same record for those of whom the same is known."""
        found = resolved(self._plan, layers, patient)
        mask = sum(1 << bit for bit, rule in enumerate(self._ready.rules) if found.enabled[rule.name])
        zone = self._zones.setdefault(patient.time_zone, len(self._zones)) if self._local else 0
        parameters = tuple(self._integer(name, found.values, patient) for name in self._ready.parameters)
        row = PatientReference(mask=mask, parameters=parameters, zone=zone)
        return self._rows.setdefault(row, row)

    def put(self, changed: Mapping[str, PatientReference]) -> None:
        """Have these be known so. What was given out before does not change."""
        differ = {one: row for one, row in changed.items() if row != self.named.get(one, self.otherwise)}
        if not differ:
            return
        named, shown = dict(self.named), dict[int, str]()
        for patient, row in differ.items():
            if patient in named:
                self._digest -= _digest(patient, named.pop(patient), shown)
            if row != self.otherwise:
                self._digest += _digest(patient, row, shown)
                named[patient] = row
        change = Change(since=self.reference.version, patients=differ)
        few = (*self.reference.changes, change)[-_CHANGES:] if len(differ) <= FEW else ()
        self.named = named
        self.reference = self._referred(few)

    def _referred(self, changes: tuple[Change, ...]) -> Reference:
        zones, version = zone_table(list(self._zones)), self._version()
        return Reference(version=version, otherwise=self.otherwise, patients=self.named, zones=zones, changes=changes)

    def _integer(self, name: str, values: Mapping[str, float], patient: Patient) -> int:
        if name.startswith("profile="):
            return int(patient.profile == name.removeprefix("profile="))
        if name in ("low_mg_dl", "high_mg_dl"):
            return int(getattr(patient, name)) * _TARGET_SCALE
        return self._plan.parameters[name].integer(values[name])

    def _version(self) -> str:
        """A digest of all that is in the reference and of the rules that its bits and columns stand for. Of the patients
        it is a sum, which one of them changes without a look at the others."""
        digest = blake2b(digest_size=_DIGEST_BYTES)
        digest.update(repr(([rule.name for rule in self._ready.rules], self._ready.parameters)).encode())
        digest.update(repr((self.otherwise, list(self._zones))).encode())
        digest.update((self._digest % (1 << 8 * _DIGEST_BYTES)).to_bytes(_DIGEST_BYTES, "little"))
        return digest.hexdigest()


def _digest(patient: str, row: PatientReference, shown: dict[int, str]) -> int:
    """Of one patient; `shown`: rows as text by their id, as many patients share one."""
    text = shown.get(id(row)) or shown.setdefault(id(row), repr(row))
    return int.from_bytes(blake2b(f"{patient}={text}".encode(), digest_size=_DIGEST_BYTES).digest(), "little")


def _tags_that_matter(plan: Plan, layers: Layers) -> frozenset[str]:
    """The tags by which rules or groups tell patients apart."""
    ruled = {tag for rule in plan.rules if rule.enabled.startswith("tags:") for tag in _tags(rule)}
    return frozenset(ruled | {whom[1:] for whom in layers.by_whom if whom.startswith("#")})


def _tags(rule: Rule) -> list[str]:
    return rule.enabled.removeprefix("tags:").split(",")
