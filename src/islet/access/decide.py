"""One function decides for every door, page, query and stream. Default: no."""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from msgspec import Struct

from islet.access.actions import MEANING, OF_INSTALLATION, Action
from islet.access.roles import OF_RIGHT, OF_ROLE
from islet.model.people import Kind, Principal, Role
from islet.model.permissions import ASSIGNED, PATIENT_GROUP, Permission

__all__ = ["EVERYBODY", "Action", "Decision", "decide", "seen", "visible"]

EVERYBODY: Final = "*"
"""In a principal's patients: all of them (an application that mirrors the whole log)."""
GRANTED: Final = "an administrator has granted this"
REFUSED: Final = "an administrator has refused this"
NOT_ASSIGNED: Final = "this patient is not assigned to the one who asks"
NO_CONSENT: Final = "the patient does not consent"
NO_CONSENT_YET: Final = "the patient has not consented yet"
ERASED: Final = "everything about this patient was erased"
NOT_IN_ROLE: Final = "the role does not include this"
NOT_IN_KEY: Final = "the key that was shown does not include this"
NOT_IN_POLICY: Final = "the hub policy does not grant this"


class Decision(Struct, frozen=True):
    """Yes or no, with a reason that a nurse could read, and the id of the permission that decided ("": none did)."""

    allowed: bool
    reason: str
    permission: str = ""


def decide(principal: Principal, action: Action, patient: str | None = None) -> Decision:
    """Whether `principal` may do `action`, for `patient` where the action is about one (None: about all that it may see).

    For an erased patient nobody may anything. The patient's own word goes before all else: who is refused by them may
    nothing for them, and a care partner only with their consent. Then the first permission that fits decides: those
    granted by priority (of one priority a refusal goes first), then those of the role or of the hub policy. A device sends
    for the patient it belongs to; that patient is in its principal.
    """
    return _decide(principal, action, patient, _own(principal))


def _decide(principal: Principal, action: Action, patient: str | None, own: Collection[str]) -> Decision:
    """`own`: the principal's patients, in whatever finds them fastest."""
    if principal.scope is not None and action not in principal.scope:
        return Decision(False, NOT_IN_KEY)
    if refused := _patients_word(principal, action, patient):
        return Decision(False, refused)
    for one in principal.granted:
        if _is_about(one, action) and _is_for(one, principal, own, patient):
            return _by(one)
    defaults = _defaults(principal, action)
    for one in defaults:
        if _is_for(one, principal, own, patient):
            return _by(one)
    if principal.kind is Kind.SERVICE:
        return Decision(False, NOT_IN_POLICY)
    return Decision(False, NOT_ASSIGNED if defaults else NOT_IN_ROLE)


def visible(principal: Principal, patient: str) -> bool:
    """Whether the principal may see this patient; the filter of every list and stream."""
    return decide(principal, Action.VIEW_PATIENT, patient).allowed


def seen(principal: Principal, action: Action, everybody: Callable[[], Iterable[str]] = tuple) -> frozenset[str] | None:
    """The patients for whom the principal may do `action`; None means everybody, also those who come later.

    `everybody` names all patients; it is asked only where somebody may see all but some.
    """
    granted = {one.principal_for for one in principal.granted}
    named = {*principal.patients, *principal.consents, *granted} - {"", ASSIGNED, EVERYBODY}
    named = named.difference(principal.patient_groups).union(*principal.patient_groups.values())
    if not decide(principal, action, EVERYBODY).allowed:
        return _allowed(principal, action, named)
    if all(decide(principal, action, patient).allowed for patient in named):
        return None
    return _allowed(principal, action, {*everybody(), *named})


def _allowed(principal: Principal, action: Action, patients: Collection[str]) -> frozenset[str]:
    own = frozenset(_own(principal))
    return frozenset(patient for patient in patients if _decide(principal, action, patient, own).allowed)


def _own(principal: Principal) -> tuple[str, ...]:
    """The patients who are assigned to the principal; of a care partner's, those who have consented."""
    if principal.role is not Role.CARE_PARTNER:
        return principal.patients
    return tuple(patient for patient in principal.patients if principal.consents.get(patient))


def _patients_word(principal: Principal, action: Action, patient: str | None) -> str:
    """Why the patient's word stands against it, or that they were erased; "" where neither is so.

    Who gives consent for a patient (a parent who was granted that) need not have been followed up to then.
    """
    if patient is None or action in OF_INSTALLATION:
        return ""
    if patient in principal.erased:
        return ERASED
    given = principal.consents.get(patient)
    if given is False:
        return NO_CONSENT
    if given or principal.role is not Role.CARE_PARTNER or action is Action.GIVE_CONSENT:
        return ""
    return NO_CONSENT_YET if patient in principal.patients else NOT_ASSIGNED


def _by(permission: Permission) -> Decision:
    reason = permission.reason or (GRANTED if permission.authorized else REFUSED)
    return Decision(permission.authorized, reason, permission.id)


def _defaults(principal: Principal, action: Action) -> list[Permission]:
    """What comes with the role, or with the hub policy's rights."""
    of_role = OF_ROLE[principal.role].get(action) if principal.role is not None else None
    found = [] if of_role is None else [of_role]
    return found + [row for right in principal.rights if (row := OF_RIGHT.get(right, {}).get(action)) is not None]


def _is_about(permission: Permission, action: Action) -> bool:
    """Whether a permission that was granted is about that action.

    One for some patients is never about the installation. Consent is the patient's word: leave to do everything for them
    does not include it, leave that names it does (a parent's).
    """
    verb, subject = MEANING[action]
    if permission.action not in (None, verb) or (permission.filter and subject not in permission.filter):
        return False
    if action in OF_INSTALLATION:
        return not permission.principal_for
    return action is not Action.GIVE_CONSENT or bool(permission.filter) or not permission.authorized


def _is_for(permission: Permission, principal: Principal, own: Collection[str], patient: str | None) -> bool:
    """Whether the permission is about that patient. A question about all fits what allows any, and refuses all."""
    whom = permission.principal_for
    if whom == "":
        return True
    if whom.startswith(PATIENT_GROUP):
        group = principal.patient_groups.get(whom, frozenset())
        return permission.authorized and bool(group) if patient is None else patient in group
    if patient is None:
        return permission.authorized and (whom != ASSIGNED or bool(own))
    if whom == ASSIGNED:
        return patient in own or EVERYBODY in own
    return patient == whom
