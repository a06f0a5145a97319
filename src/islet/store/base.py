"""What every store back end does. One contract test (`tests/store/contract.py`) holds for all of them.

A store has two halves. `Store` is derived from the log and can be rebuilt. `Registry` holds what people entered
(patients, devices, users, sessions); it is not in the log and is never dropped by a rebuild.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import pyarrow as pa
from msgspec import Struct

from islet.access.audit import AuditLine
from islet.log.base import Slice
from islet.model.alerts import Alert
from islet.model.events import Method
from islet.model.hours import Hours
from islet.model.people import Device, Patient, Session, User
from islet.model.series import Series
from islet.model.topics import Topic


@dataclass(frozen=True, kw_only=True, slots=True)
class Latest:
    """A patient's newest reading."""

    patient: str
    device: str
    time_us: int
    glucose_tenths: int
    range: int


class Document(Struct, frozen=True, kw_only=True):
    """A stored event that is not a reading: meal, insulin, vital, device status, dead letter …; body is JSON."""

    topic: Topic
    patient: str
    device: str
    time_us: int
    received_at_us: int
    type: str
    body: str


class Receipt(NamedTuple):
    """When a reading, known by its instant and how it was measured, was received."""

    time_us: int
    method: Method
    received_at_us: int


def as_entries(documents: Sequence[Document]) -> pa.RecordBatch:
    """The documents (n,) as the engine takes them from the log."""
    return pa.record_batch(
        {
            "patient": pa.array([row.patient for row in documents], pa.utf8()),
            "device": pa.array([row.device for row in documents], pa.utf8()),
            "time_us": pa.array([row.time_us for row in documents], pa.int64()),
            "received_at_us": pa.array([row.received_at_us for row in documents], pa.int64()),
            "body": pa.array([row.body for row in documents], pa.utf8()),
        }
    )


class Store(Protocol):
    """Derived from the log; every method may be called from any thread."""

    def apply(self, slices: Sequence[Slice], consumer: str = "store") -> None:
        """Take in entries of any topic, in one transaction with their cursors. Idempotent: a slice that was applied
        already changes nothing; of two readings with one identity (patient, device, time) the first in log order
        stays, a second with another value is kept aside (`conflicts`). Slices of a partition come in order."""

    def applied(self, topic: Topic, partitions: int, consumer: str = "store") -> tuple[int, ...]:
        """Per partition, the offset up to which `apply` has taken in."""

    def series(self, patient: str, from_us: int, to_us: int, *, method: Method | None = None) -> Series:
        """The patient's readings with from_us <= time < to_us, CGM and capillary (or of one `method`: "cgm" for shares of
        time), one per instant."""

    def readings(self, patient: str) -> pa.RecordBatch:
        """All readings of a patient as they came (n rows of READINGS_SCHEMA), by time and device."""

    def hours(self, patient: str, from_us: int, to_us: int, offset_us: int = 0) -> Hours:
        """The sensor's readings of a patient with from_us <= time < to_us (no fingersticks: their hours are not worn),
        summed by the hour of a clock that is `offset_us` ahead of UTC. For those who look at everybody: about 0.1 ms a patient and day."""

    def latest(self, patients: Sequence[str] | None = None) -> list[Latest]:
        """The newest reading of each patient (all patients where None); those without one are absent."""

    def documents(
        self, topic: Topic, patient: str | None, from_us: int, to_us: int, limit: int = 1000
    ) -> list[Document]:
        """Documents of a topic with from_us <= time < to_us, newest first; patient None means everybody's. Of care events that
        people corrected or withdrew (`islet.model.care_events`) those that hold, whatever came first.

        For DEAD_LETTERS, time is when we received it."""

    def versions(self, patient: str, ids: Collection[tuple[str, str]]) -> list[Document]:
        """All that was said of a patient's care events under these ids (`islet.model.care_events`), each a device and an id, in no
        order: what holds, what it replaced, and withdrawals."""

    def care_events_since(self, patient: str, received_from_us: int, limit: int) -> list[Document]:
        """A patient's care events and withdrawals that were received at that instant or later, in that order, without what
        was replaced by another: `limit` of them, and all others of the last one's millisecond."""

    def receipts(self, patient: str, from_us: int, to_us: int, received_from_us: int = 0) -> list[Receipt]:
        """Of the patient's readings with from_us <= time < to_us those received at that instant or later, in that order, one
        per instant and method (as `series`)."""

    def last_received(self, patient: str, from_us: int) -> tuple[int, int]:
        """When the newest of the patient's readings with from_us <= time was received, and of their care events and withdrawals,
        0 where there is none."""

    def alerts(
        self,
        patients: Sequence[str] | None = None,
        *,
        active_only: bool = False,
        until_us: int | None = None,
        limit: int = 500,
    ) -> list[Alert]:
        """Alerts that are not retracted, newest onset first, of one onset the most severe first. `until_us`: those that
        began at that instant or before.

        `active_only` gives those that are active, and those that are cleared but not yet acknowledged if they are
        urgent or warnings of the last 24 h of data: active ones first, then by severity, then those that nobody has
        acknowledged, then the newest. `limit` cuts at the end of that order, so that no number of lesser or newer
        alerts can hide an urgent one that is active."""

    def alert(self, id: str) -> Alert | None:
        """One alert by its id, retracted or not."""

    def conflicts(self) -> int:
        """How many readings were kept aside because their identity came with another value."""

    def counts(self) -> dict[str, int]:
        """Rows per kind: readings, alerts, and one key per document topic."""

    def erase(self, patient: str, devices: Sequence[str] = ()) -> None:
        """Remove all that is kept of a patient, and dead letters of these devices that name nobody; what the log still has
        of the patient is passed over from now on, also by a rebuild. Idempotent; large amounts go in several transactions."""

    def reset(self, received_from_us: int) -> None:
        """Forget all derived rows received at or after that instant, and all cursors, before a rebuild."""

    def close(self) -> None: ...


class EntryKind(StrEnum):
    """What people set beside patients, devices and users: each kind is a table of id and JSON, its rooms know the rest."""

    RULE = "rule"
    """A rule added to this installation; id is its name, the body {"sql": its file}."""
    RULE_SETTING = "rule_setting"
    """On, off or other parameters for the installation, a group or a patient (`islet.engine.parameters`)."""
    ALARM_POLICY = "alarm_policy"
    """Who is told of a patient's alarms, in which order (`islet.notify.policy`); "" is everybody's default."""
    AUTHORITY = "authority"
    """A certificate authority of devices; id is the name that an operator gave, the body {"certificate": its DER}."""
    ENROLLMENT = "enrollment"
    """A device that may register itself (`islet.gateways.enrollments`); id is its registration id."""
    ENROLLMENT_GROUP = "enrollment_group"
    """Devices with a common key or authority that may."""
    CLAIM = "claim"
    """A device that may be claimed once with a code (`islet.gateways.claims`); id is the code's hash."""
    CONTACT = "contact"
    """One way to reach somebody (`islet.contacts`): a chat, a mailbox, a browser; its address is among the secrets."""
    PERMISSION = "permission"
    """A line of the table of permissions (`islet.model.permissions`)."""
    CONSENT = "consent"
    """A patient's word on whether a user may follow them (`islet.model.permissions.Consent`); id is "anna p-1"."""
    API_KEY = "api_key"
    """A key of an application or a service (`islet.access.keys`): its hash, whose it is, what for, until when."""
    APP = "app"
    """What lets an app in as a device by Nightscout's API (`islet.store.app_secrets`); id is the secret's hash."""
    SUBJECT = "subject"
    """Which user an account at an OpenID provider is linked to (`islet.store.subjects`)."""
    HUB_POLICY = "hub_policy"
    """When a hub policy's keys were made anew (`islet.store.hub_policies`); the keys are among the secrets."""
    PRINCIPALS = "principals"
    """A group of principals (`islet.store.principals`); id is its name."""
    JOB = "job"
    """What a job found last (cohorts, anomalies); id is the job's name."""
    FORECAST = "forecast"
    """Which model forecasts (`islet.forecast.serving`); id is "served"."""
    CONFIGURATION = "configuration"
    """Desired properties for many devices (`islet.gateways.configurations`); id is its own."""
    WISHES = "wishes"
    """What a person said of themselves for patterns and advice (`islet.patterns.findings.Wishes`); id is the patient's."""
    ERASED = "erased"
    """A patient of whom everything was erased (`islet.erasure`); the id is theirs, and is never given again."""


UNSAID: Final = frozenset({EntryKind.JOB, EntryKind.WISHES})
"""What they hold is health data: the audit trail says that they changed, not from what to what."""


class Act(NamedTuple):
    """What a line of the audit trail says: what was done to what, by whom, when."""

    action: str
    kind: str
    id: str
    by: str
    at_us: int


class Registry(Protocol):
    """What people entered. Writes are durable (FULL sync) when they return."""

    def patients(self) -> list[Patient]: ...
    def patients_since(self, version: int) -> tuple[int, list[Patient]]:
        """The registry's version, and the patients who were put after `version` (-1: all), in order of their ids."""

    def patient_count(self) -> int: ...
    def patient(self, id: str) -> Patient | None: ...
    def put_patient(self, patient: Patient) -> None:
        """Raises AlreadyExists for the id of one who was erased."""

    def mark_erased(self, id: str, body: bytes, *, by: str, at_us: int) -> None:
        """Keep an entry ERASED and remove the patient, both or neither."""

    def devices(self) -> list[Device]: ...
    def device(self, id: str) -> Device | None: ...

    def find_devices(self, text: str = "", *, after: str = "", limit: int) -> list[Device]:
        """Those whose id or whose patient's id has `text` in it (of ASCII letters either case), in the order of their
        ids, from behind the id `after` on."""

    def count_devices(self, text: str = "") -> int:
        """How many `find_devices` would find without a limit."""

    def create_device(self, device: Device) -> None:
        """Raises AlreadyExists for a second one of that id, NotFound for a patient who was erased."""

    def change_device(self, device: Device, action: str, *, etag: str, by: str, at_us: int) -> None:
        """The device takes the place of the one with that etag, with a line in the audit trail, both or neither. Raises
        NotFound, and EtagDiffers where somebody else has changed it, or it is another device of that id."""

    def delete_device(self, id: str) -> None:
        """Raises NotFound."""

    def knows_thumbprint(self, thumbprint: str) -> bool:
        """Whether a device is registered with that thumbprint."""

    def users(self) -> list[User]: ...
    def user(self, name: str) -> User | None: ...

    def put_user(self, user: User) -> None:
        """All their sessions end when they are disabled or their password is another."""

    def change_user(
        self, name: str, change: Callable[[Mapping[str, User]], User], *, action: str, by: str, at_us: int
    ) -> User:
        """Keep what `change` makes of the users that there are (by name), with a line in the audit trail, both or neither;
        what it raises goes through, and nothing changes. Nobody writes meanwhile. The line holds the user before and
        after, without the password's hash; `action` "" is "added" or "changed". As `put_user` besides."""

    def delete_user(self, name: str, *, by: str, at_us: int) -> None:
        """With their sessions; a line in the audit trail. Raises NotFound."""

    def create_session(
        self, token_hash: str, user: str, expires_us: int, now_us: int | None = None, *, key: str = "", by: str = ""
    ) -> None:
        """Also forgets everybody's sessions that are over at `now_us`, where it is given. `key`, `by`: as in Session."""

    def session(self, token_hash: str, now_us: int) -> Session | None:
        """The session, where its time is not over; its user may be disabled or gone."""

    def session_user(self, token_hash: str, now_us: int) -> User | None:
        """The enabled user of a log-in that has not expired; not of a key's token."""

    def delete_session(self, token_hash: str) -> None: ...
    def delete_sessions(self, user: str) -> None:
        """End all sessions and API tokens of a user."""

    def secret(self, name: str) -> str | None:
        """A named secret of this installation (a hub policy's key, the Telegram token)."""

    def put_secret(self, name: str, value: str) -> None:
        """Keep it; "" forgets it."""

    def entries(self, kind: EntryKind) -> dict[str, bytes]:
        """All of a kind: JSON by id."""

    def entry(self, kind: EntryKind, id: str) -> bytes | None: ...

    def put_entry(self, kind: EntryKind, id: str, body: bytes | None, *, by: str, at_us: int) -> None:
        """Keep it (None: remove it), with a line in the audit trail, both or neither. Nothing happens where nothing
        changes. The bodies are in that line but for those UNSAID."""

    def note(self, action: str, kind: str, id: str, *, by: str, at_us: int) -> None:
        """A line in the audit trail for an act that changes no entry."""

    def note_all(self, acts: Sequence[Act]) -> None:
        """A line for each, in order, all with one sync."""

    def audit_length(self) -> int:
        """How many lines the audit trail has."""

    def audit(self, after: int = 0, limit: int = 1000) -> list[AuditLine]:
        """The audit trail in order, from the line behind number `after` on."""

    @property
    def sessions_ended(self) -> int:
        """Grows whenever sessions are ended before their time, by any process; streams compare it."""

    @property
    def version(self) -> int:
        """Grows with every change of patients, devices, users or entries, by any process; caches compare it."""

    def versions(self) -> Mapping[str, int]:
        """By kind ("patient", "device", "user", an EntryKind) the version that the last change of that kind made; none
        where nothing of it has changed."""

    def close(self) -> None: ...
