"""One function decides for every door, page, query and stream. Default: no."""

from enum import StrEnum

from msgspec import Struct

from islet.model.people import Principal, Role


class Action(StrEnum):
    """What can be asked for."""

    VIEW_PATIENT = "view_patient"
    ACKNOWLEDGE = "acknowledge"
    SEND_EVENTS = "send_events"
    ENTER_EVENTS = "enter_events"
    CONSUME_LOG = "consume_log"
    VIEW_COHORTS = "view_cohorts"
    VIEW_OPERATIONS = "view_operations"
    READ_RULES = "read_rules"
    SET_PATIENT_RULES = "set_patient_rules"
    READ_REGISTRY = "read_registry"
    WRITE_REGISTRY = "write_registry"
    ADMINISTER = "administer"


class Decision(Struct, frozen=True):
    """Yes or no, with a reason that a nurse could read."""

    allowed: bool
    reason: str


_ANY_PATIENT = {
    Role.ADMINISTRATOR: frozenset(Action) - {Action.SEND_EVENTS},
}
_OWN_PATIENTS = {
    Role.CLINICIAN: frozenset(
        {
            Action.VIEW_PATIENT,
            Action.ACKNOWLEDGE,
            Action.ENTER_EVENTS,
            Action.CONSUME_LOG,
            Action.READ_RULES,
            Action.SET_PATIENT_RULES,
            Action.VIEW_COHORTS,
        }
    ),
    Role.CARE_PARTNER: frozenset({Action.VIEW_PATIENT, Action.ACKNOWLEDGE, Action.ENTER_EVENTS}),
    Role.PATIENT: frozenset({Action.VIEW_PATIENT, Action.ACKNOWLEDGE, Action.ENTER_EVENTS, Action.SET_PATIENT_RULES}),
    Role.APPLICATION: frozenset({Action.VIEW_PATIENT, Action.CONSUME_LOG}),
    Role.DEVICE: frozenset({Action.SEND_EVENTS}),
}
_HUB_RIGHTS = {
    "RegistryRead": frozenset({Action.READ_REGISTRY}),
    "RegistryWrite": frozenset({Action.READ_REGISTRY, Action.WRITE_REGISTRY}),
    "ServiceConnect": frozenset[Action](),
    "DeviceConnect": frozenset({Action.SEND_EVENTS}),
}
EVERYBODY = "*"
"""In a principal's patients: all of them (an application that mirrors the whole log)."""


def decide(principal: Principal, action: Action, patient: str | None = None) -> Decision:
    """Whether `principal` may do `action`, for `patient` where the action is about one (None: about all of them).

    A device sends for the patient it belongs to; that patient is in its principal.
    """
    if action in _ANY_PATIENT.get(principal.kind, ()):
        return Decision(True, f"{principal.kind} may do this")
    for right in principal.rights:
        if action in _HUB_RIGHTS.get(right, ()):
            return Decision(True, f"the hub policy grants {right}")
    if action not in _OWN_PATIENTS.get(principal.kind, ()):
        return Decision(False, f"the role {principal.kind} does not include {action}")
    if EVERYBODY in principal.patients or (patient is not None and patient in principal.patients):
        return Decision(True, f"{principal.kind} of this patient")
    if patient is None and principal.patients:
        return Decision(True, f"{principal.kind}: only the patients assigned to them are shown")
    return Decision(False, "this patient is not assigned to the one who asks")


def visible(principal: Principal, patient: str) -> bool:
    """Whether the principal may see this patient; the filter of every list and stream."""
    return decide(principal, Action.VIEW_PATIENT, patient).allowed
