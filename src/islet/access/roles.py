"""The permissions that come with a role, a kind, or a hub policy's right: a table like the one that people add to.

They are the last to be asked. Every row says why, in words for the one who is let in.
"""

from collections.abc import Iterator
from typing import Final

from islet.access.actions import MEANING, Action
from islet.model.people import Role
from islet.model.permissions import ASSIGNED, DEFAULT_PRIORITY, Permission

_OF_ADMINISTRATORS: Final = tuple(one for one in Action if one not in (Action.SEND_EVENTS, Action.GIVE_CONSENT))
"""Readings come from devices, and consent from the patient: nobody else's word counts for either."""
_EVERYBODY, _THEIRS = "", ASSIGNED
_TABLE: Final[dict[str, tuple[str, str, tuple[Action, ...]]]] = {
    Role.ADMINISTRATOR: (_EVERYBODY, "administrators may do this", _OF_ADMINISTRATORS),
    Role.CLINICIAN: (
        _THEIRS,
        "clinicians may do this for the patients assigned to them",
        (
            Action.VIEW_PATIENT,
            Action.FOLLOW_PATIENT,
            Action.ACKNOWLEDGE,
            Action.ENTER_EVENTS,
            Action.CONSUME_LOG,
            Action.READ_RULES,
            Action.SET_PATIENT_RULES,
            Action.VIEW_COHORTS,
        ),
    ),
    Role.CARE_PARTNER: (
        _THEIRS,
        "care partners may do this for whom they follow, with the patient's consent",
        (Action.VIEW_PATIENT, Action.FOLLOW_PATIENT, Action.ACKNOWLEDGE, Action.ENTER_EVENTS),
    ),
    Role.PATIENT: (
        _THEIRS,
        "patients may do this for themselves",
        (
            Action.VIEW_PATIENT,
            Action.FOLLOW_PATIENT,
            Action.ACKNOWLEDGE,
            Action.ENTER_EVENTS,
            Action.SET_PATIENT_RULES,
            Action.GIVE_CONSENT,
        ),
    ),
    Role.RESEARCHER: (_THEIRS, "researchers see masked data of the patients assigned to them", (Action.VIEW_MASKED,)),
    Role.AUDITOR: (_EVERYBODY, "auditors may read the audit trail", (Action.VIEW_AUDIT,)),
    Role.APPLICATION: (
        _THEIRS,
        "applications may read the patients assigned to them",
        (Action.VIEW_PATIENT, Action.FOLLOW_PATIENT, Action.CONSUME_LOG),
    ),
    Role.DEVICE: (_THEIRS, "devices send for the patient who wears them", (Action.SEND_EVENTS,)),
}
_RIGHTS: Final[dict[str, tuple[Action, ...]]] = {
    "RegistryRead": (Action.READ_REGISTRY,),
    "RegistryWrite": (Action.READ_REGISTRY, Action.WRITE_REGISTRY),
    "ServiceConnect": (Action.COMMAND_DEVICES, Action.CONSUME_LOG),
    "DeviceConnect": (Action.SEND_EVENTS,),
}


def _rows(
    issued_to: str, principal_for: str, reason: str, actions: tuple[Action, ...]
) -> Iterator[tuple[Action, Permission]]:
    for action in actions:
        verb, subject = MEANING[action]
        yield (
            action,
            Permission(
                id=f"{issued_to} {action}",
                issued_to=issued_to,
                principal_for=principal_for,
                action=verb,
                filter=(subject,),
                priority=DEFAULT_PRIORITY,
                reason=reason,
            ),
        )


OF_ROLE: Final = {Role(role): dict(_rows(f"role/{role}", *row)) for role, row in _TABLE.items()}
"""By role, the row of each action: there is one at most."""
OF_RIGHT: Final = {
    right: dict(_rows(f"right/{right}", "", "the hub policy grants this", actions))
    for right, actions in _RIGHTS.items()
}
