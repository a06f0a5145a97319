"""The address book of an installation: who can be reached how, and which policy each patient has.

Kept in the registry, with a line in the audit trail for each change; the address itself (a chat, a mailbox, a browser's
subscription) is among the secrets, so that the trail holds none. What another process changes holds at once.
"""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog
from msgspec import Struct, structs

from islet.access.decide import Action, seen
from islet.errors import BadInput, NotFound
from islet.model.people import Principal, User
from islet.model.time import Now
from islet.notify.policy import DEFAULT, USER, Policy, check_policy
from islet.notify.recipients import About, Contact, Lane, may_be_told
from islet.store.base import EntryKind, Registry
from islet.store.principals import Principals

EVERYONE: Final = ""
"""The policy of patients who have none of their own is kept under this id."""
LONGEST_NAME: Final = 60
_ISLET: Final = "islet"
_log = structlog.get_logger("islet.contacts")


_KINDS: Final = (
    "patient",
    "user",
    EntryKind.CONTACT,
    EntryKind.ALARM_POLICY,
    EntryKind.PERMISSION,
    EntryKind.PRINCIPALS,
    EntryKind.CONSENT,
    EntryKind.ERASED,
)


class _Kept(Struct, frozen=True, kw_only=True):
    """A contact's entry. `entered_us`: when its address was; another address makes it another entry."""

    user: str = ""
    entered_us: int = 0
    shows_name: bool = False
    shows_value: bool = False
    language: str = ""
    time_zone: str = "UTC"
    enabled: bool = True
    disabled_reason: str = ""
    tested: bool = True


@dataclass(frozen=True, kw_only=True)
class _Known:
    """All that is in force at one time. `of_patient` and `of_all`: who may be told, before access decides."""

    kept: Mapping[str, bytes] = field(default_factory=dict)
    contacts: Mapping[Lane, Contact] = field(default_factory=dict)
    principals: Mapping[str, Principal] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)
    erased: frozenset[str] = frozenset()
    of_patient: Mapping[str, Sequence[Contact]] = field(default_factory=dict)
    of_all: Sequence[Contact] = ()

    @property
    def parts(self) -> tuple[object, ...]:
        """What the rest is made of. `zones`: of all patients; quiet hours are by their clock."""
        return self.kept, self.contacts, self.principals, self.policies, self.zones


class ContactBook:
    """Implements `islet.notify.recipients.Directory` over one registry. Any thread may call it.

    `installation`: the addresses in the settings, which are in no registry.
    """

    def __init__(self, registry: Registry, now: Now, installation: Sequence[Contact] = ()) -> None:
        self._registry, self._now = registry, now
        self._installation = {contact.lane: contact for contact in installation}
        self._making = threading.Lock()
        self._made: tuple[object, _Known] | None = None
        self._seen = -1  # the registry's version up to which patients' clocks are known
        self._principals = Principals(registry)

    # what the outbox asks

    def about(self, patient: str) -> About:
        known, person = self._current(), self._registry.patient(patient)
        candidates = [*known.of_all, *known.of_patient.get(patient, ())]
        return About(
            policy=self.policy(patient)[0],
            contacts=may_be_told(candidates, known.principals, patient),
            time_zone=person.time_zone if person else "UTC",
            name=person.label if person else "",
        )

    def everybody(self) -> Iterable[Contact]:
        return list(self._current().contacts.values())

    def contact(self, lane: Lane) -> Contact | None:
        return self._current().contacts.get(lane)

    def disable(self, contact: Contact, reason: str) -> None:
        if contact.lane in self._installation:
            with self._making:
                ended = structs.replace(contact, enabled=False, disabled_reason=reason)
                self._installation[contact.lane], self._made = ended, None
            return
        found = self._registry.entry(EntryKind.CONTACT, _id(contact.lane))
        if found is not None:
            kept = structs.replace(_decoded(found), enabled=False, disabled_reason=reason)
            self._write(contact.lane, kept, by=_ISLET, at_us=self._now())

    # what people look at and change

    def version(self) -> object:
        """Another object whenever policies or contacts have changed."""
        return self._current()

    def of(self, user: str) -> list[Contact]:
        """A user's contacts, by channel and id."""
        return sorted((c for c in self.everybody() if c.user == user), key=lambda contact: contact.lane)

    def policy(self, patient: str) -> tuple[Policy, bool]:
        """A patient's policy, and whether it is their own; for EVERYONE that of all others."""
        policies = self._current().policies
        own = policies.get(patient)
        return (own, True) if own is not None else (policies.get(EVERYONE, DEFAULT), False)

    def set_policy(self, patient: str, policy: Policy | None, *, rules: Collection[str], by: str, at_us: int) -> None:
        """Put a policy in the place of the patient's (None: take theirs away). Raises BadInput, or NotFound."""
        if patient != EVERYONE and self._registry.patient(patient) is None:
            raise NotFound("there is no such patient")
        if policy is not None:
            check_policy(policy, rules)
            self._check_users(policy)
        body = None if policy is None else msgspec.json.encode(policy)
        self._registry.put_entry(EntryKind.ALARM_POLICY, patient, body, by=by, at_us=at_us)

    def _check_users(self, policy: Policy) -> None:
        for number, step in enumerate(policy.steps, 1):
            name = step.who.removeprefix(USER)
            if step.who.startswith(USER) and self._registry.user(name) is None:
                raise BadInput(f"policy, step {number}, who: there is no user of that name", reason="policy")

    def put(self, contact: Contact, *, by: str, at_us: int) -> None:
        """Keep a contact: a new one, or with another address or other wishes. An address that is entered anew is
        used again. Raises BadInput for an id that cannot be, NotFound for a user who is none."""
        _check_id(contact)
        if contact.lane in self._installation:
            raise BadInput("contact: this is an address of the settings; choose another id", reason="contact")
        if contact.user and self._registry.user(contact.user) is None:
            raise NotFound("there is no such user")
        found = self._registry.entry(EntryKind.CONTACT, _id(contact.lane))
        before = None if found is None else _decoded(found)
        if before is not None and before.user != contact.user:
            raise BadInput("contact: somebody else has this id on this channel; choose another", reason="contact")
        same = before is not None and self._address(contact.lane) == contact.address
        if not same:
            self._registry.put_secret(_secret(contact.lane), contact.address)
        kept = _Kept(
            user=contact.user,
            entered_us=before.entered_us if before is not None and same else at_us,
            shows_name=contact.shows_name,
            shows_value=contact.shows_value,
            language=contact.language,
            time_zone=contact.time_zone,
            enabled=contact.enabled,
            disabled_reason="" if contact.enabled else contact.disabled_reason,
            tested=contact.tested,
        )
        self._write(contact.lane, kept, by=by, at_us=at_us)

    def remove(self, lane: Lane, *, by: str, at_us: int) -> None:
        """Forget a contact. Raises NotFound."""
        if self._registry.entry(EntryKind.CONTACT, _id(lane)) is None:
            raise NotFound("there is no such contact")
        self._registry.put_secret(_secret(lane), "")
        self._registry.put_entry(EntryKind.CONTACT, _id(lane), None, by=by, at_us=at_us)

    # the registry

    def _write(self, lane: Lane, kept: _Kept, *, by: str, at_us: int) -> None:
        self._registry.put_entry(EntryKind.CONTACT, _id(lane), msgspec.json.encode(kept), by=by, at_us=at_us)

    def _address(self, lane: Lane) -> str:
        return self._registry.secret(_secret(lane)) or ""

    def _current(self) -> _Known:
        """Costs one question to the registry while nothing changes."""
        made, version = self._made, self._version()
        if made is not None and made[0] == version:
            return made[1]
        with self._making:
            made, version = self._made, self._version()  # first: what changes while we read makes it another
            if made is None or made[0] != version:
                made = self._made = (version, self._make(None if made is None else made[1]))
            return made[1]

    def _version(self) -> object:
        """Another one whenever something may be another that contacts are made of."""
        versions, (_, expired) = self._registry.versions(), self._principals.epoch(self._now())
        return expired, *(versions.get(kind, 0) for kind in _KINDS)

    def _zones(self, before: _Known | None) -> Mapping[str, str]:
        """The clocks of all patients: the same object while none changes."""
        erased = self._principals.erased
        known = before.zones if before is not None and before.erased == erased else {}
        seen, patients = self._registry.patients_since(self._seen if known else -1)
        changed = {one.id: one.time_zone for one in patients if known.get(one.id) != one.time_zone}
        self._seen = seen
        return {**known, **changed} if changed else known

    def _make(self, before: _Known | None) -> _Known:
        kept = self._registry.entries(EntryKind.CONTACT)
        users = {user.name: user for user in self._registry.users()}
        principals = {user.name: self._principals.of_user(user, self._now()) for user in users.values() if user.enabled}
        contacts = dict(self._installation)
        for id, body in kept.items():
            lane = Lane(*id.split("/", 1))
            same = before is not None and before.kept.get(id) == body and lane in before.contacts
            address = before.contacts[lane].address if before is not None and same else self._address(lane)
            contacts[lane] = _contact(lane, _decoded(body), address, users)
        policies = _policies(self._registry.entries(EntryKind.ALARM_POLICY))
        zones = self._zones(before)
        parts = (kept, contacts, principals, policies, zones)
        if before is not None and parts == before.parts:
            return before  # something else changed
        of_patient, of_all = _by_patient(contacts.values(), principals, list(zones))
        return _Known(
            kept=kept,
            contacts=contacts,
            principals=principals,
            policies=policies,
            zones=zones,
            erased=self._principals.erased,
            of_patient=of_patient,
            of_all=of_all,
        )


def _by_patient(
    contacts: Iterable[Contact], principals: Mapping[str, Principal], everybody: Sequence[str]
) -> tuple[dict[str, list[Contact]], list[Contact]]:
    of_patient: dict[str, list[Contact]] = {}
    of_all: list[Contact] = []
    for contact in contacts:
        principal = principals.get(contact.user)
        if contact.user and principal is None:
            continue
        patients = None if principal is None else seen(principal, Action.VIEW_PATIENT, lambda: everybody)
        if patients is None:
            of_all.append(contact)
        else:
            for patient in sorted(patients):
                of_patient.setdefault(patient, []).append(contact)
    return of_patient, of_all


def _contact(lane: Lane, kept: _Kept, address: str, users: Mapping[str, User]) -> Contact:
    user = users.get(kept.user)
    gone = bool(kept.user) and (user is None or not user.enabled)
    return Contact(
        id=lane.recipient,
        channel=lane.channel,
        address=address,
        user=kept.user,
        role=user.role if user else None,
        shows_name=kept.shows_name,
        shows_value=kept.shows_value,
        language=kept.language or (user.language if user else ""),
        unit=user.unit if user else "mg/dL",
        time_zone=kept.time_zone,
        enabled=kept.enabled and not gone,
        disabled_reason="this user cannot log in any more" if gone else kept.disabled_reason,
        tested=kept.tested,
    )


def _policies(entries: Mapping[str, bytes]) -> dict[str, Policy]:
    """Those that can be read; another version's, which cannot, is as if it were not there, and said so."""
    found = {}
    for patient, body in entries.items():
        try:
            found[patient] = msgspec.json.decode(body, type=Policy)
        except msgspec.DecodeError:
            _log.error("policy_left_out")
    return found


def _decoded(body: bytes) -> _Kept:
    return msgspec.json.decode(body, type=_Kept)


def _check_id(contact: Contact) -> None:
    allowed = contact.id.isprintable() and "/" not in contact.id and contact.id == contact.id.strip()
    if not contact.id or len(contact.id) > LONGEST_NAME or not allowed:
        raise BadInput(f"contact: expected an id of 1 to {LONGEST_NAME} characters without /", reason="contact")
    if not contact.address:
        raise BadInput("contact: expected an address", reason="contact")


def _id(lane: Lane) -> str:
    return f"{lane.channel}/{lane.recipient}"


def _secret(lane: Lane) -> str:
    return f"contact/{lane.channel}/{lane.recipient}"
