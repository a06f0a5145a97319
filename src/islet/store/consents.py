"""Consents: a patient's word on whether a care partner may follow them. Without it an assignment is a question.

Every change is a line of the audit trail and holds at once. Earlier versions asked nobody: `keep_earlier`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import structs

from islet.access.decide import Action, decide
from islet.errors import AccessDenied, BadInput, NotFound
from islet.model.people import Role, User
from islet.model.permissions import GRANT_PRIORITY, Consent
from islet.model.time import HOUR_US, from_us
from islet.store.base import EntryKind, Registry
from islet.store.principals import Principals, read_consents, read_permissions
from islet.store.users import change_known

SAYS_IT_THEMSELVES: Final = "the patient has an account, and consents there: on the page Who follows me"
_LONGEST_NAME: Final = 100
_FURTHEST_EAST_US: Final = 14 * HOUR_US
"""Somewhere on Earth it is that much later than UTC, and perhaps tomorrow."""
_ASKED: Final = "consents/asked"
"""The secret that marks a registry in which patients are asked."""


class State(StrEnum):
    ASKED = "asked"
    GIVEN = "given"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """A care partner who follows a patient or is to, and the patient's word on it (None: they are asked)."""

    user: User
    patient: str
    said: Consent | None

    @property
    def state(self) -> State:
        if self.said is None:
            return State.ASKED
        return State.GIVEN if self.said.given else State.REFUSED


def followings(registry: Registry, patients: Collection[str] | None = None) -> list[Following]:
    """Who follows these patients or is to (None: all patients), those whom nobody has answered first; then by name."""
    said = {(one.user, one.patient): one for one in read_consents(registry)}
    found = [
        Following(user=user, patient=patient, said=said.get((user.name, patient)))
        for user in registry.users()
        if user.role is Role.CARE_PARTNER
        for patient in user.patients
        if patients is None or patient in patients
    ]
    return sorted(found, key=lambda one: (one.state is not State.ASKED, one.user.name, one.patient))


def set_consent(registry: Registry, user: str, patient: str, *, given: bool, by: str, at_us: int) -> None:
    """A patient's word on whether a care partner may follow them; who is allowed to is assigned to them besides.

    Raises NotFound for a user who is no care partner, or a patient who is not there.
    """
    _put(registry, Consent(user=user, patient=patient, given=given, at_us=at_us, by=by))


def set_consent_on_paper(registry: Registry, said: Consent) -> None:
    """A patient's word that is on paper, as an administrator enters it.

    Raises BadInput unless it says who signed and when; AccessDenied for a consent that somebody can give themselves, in
    the portal; NotFound as `set_consent`.
    """
    if not said.signed_by.strip() or len(said.signed_by) > _LONGEST_NAME:
        raise BadInput(f"signed by: expected a name of 1 to {_LONGEST_NAME} characters", reason="signed_by")
    try:
        signed_on = date.fromisoformat(said.signed_on)
    except ValueError:
        raise BadInput("signed on: expected a date, as 2026-03-03", reason="signed_on") from None
    if signed_on > from_us(said.at_us + _FURTHEST_EAST_US).date():
        raise BadInput("signed on: expected a day that has come", reason="signed_on")
    if said.given and says_it_themselves(registry, said.patient, said.at_us):
        raise AccessDenied(SAYS_IT_THEMSELVES)
    _put(registry, said)


def says_it_themselves(registry: Registry, patient: str, now_us: int) -> bool:
    """Whether somebody can log in and give consent for the patient: they themselves, or who was granted that."""
    principals = Principals(registry)
    people = (principals.of_user(user, now_us) for user in registry.users() if user.enabled)
    return any(decide(one, Action.GIVE_CONSENT, patient).allowed for one in people)


def forget_unassigned(registry: Registry, user: User, *, by: str, at_us: int) -> None:
    """End the consents to be followed by somebody to whom the patient is no longer assigned: assigned again, they are
    asked again. What patients have refused stays."""
    for said in read_consents(registry):
        follows = user.role is Role.CARE_PARTNER and said.patient in user.patients
        if said.user == user.name and said.given and not follows:
            registry.put_entry(EntryKind.CONSENT, _id(said.user, said.patient), None, by=by, at_us=at_us)


def keep_earlier(registry: Registry, at_us: int) -> None:
    """Of a registry from before patients were asked: who followed a patient goes on, with a consent that says so; what
    patients have withdrawn stays withdrawn. Once; also where several processes begin at the same time."""
    if registry.secret(_ASKED) is not None:
        return
    users, refusals = registry.users(), read_permissions(registry)
    if registry.secret(_ASKED) is not None:  # else who was assigned meanwhile would be among the users
        return
    withdrawn = {one.id: one for one in refusals if one.priority < GRANT_PRIORITY}
    for user in users:
        for patient in user.patients if user.role is Role.CARE_PARTNER else ():
            if _old_id(user.name, patient) not in withdrawn:
                kept = Consent(user=user.name, patient=patient, given=True, at_us=at_us, by="islet", earlier=True)
                _write(registry, kept, by="islet")
    for id, one in withdrawn.items():
        name = one.issued_to.partition("/")[2]
        kept = Consent(user=name, patient=one.principal_for, given=False, at_us=at_us, by=one.granted_by, earlier=True)
        _write(registry, kept, by="islet")
        registry.put_entry(EntryKind.PERMISSION, id, None, by="islet", at_us=at_us)
    registry.put_secret(_ASKED, "yes")


def _put(registry: Registry, said: Consent) -> None:
    found = registry.user(said.user)
    if found is None or found.role is not Role.CARE_PARTNER:
        raise NotFound("there is no care partner of that name")
    if registry.patient(said.patient) is None:
        raise NotFound("there is no such patient")
    _write(registry, said, by=said.by)
    if said.given and said.patient not in found.patients:

        def followed(user: User) -> User:
            return structs.replace(user, patients=(*user.patients, said.patient))

        change_known(registry, said.user, followed, by=said.by, at_us=said.at_us)


def _write(registry: Registry, said: Consent, *, by: str) -> None:
    body = msgspec.json.encode(said)
    registry.put_entry(EntryKind.CONSENT, _id(said.user, said.patient), body, by=by, at_us=said.at_us)


def _id(user: str, patient: str) -> str:
    return f"{user} {patient}"


def _old_id(user: str, patient: str) -> str:
    return f"consent {user} {patient}"
