"""Everything that can be asked for, and what it is in a permission: a verb and a subject."""

from enum import StrEnum
from typing import Final

from islet.model.permissions import Verb


class Action(StrEnum):
    """What can be asked for."""

    VIEW_PATIENT = "view_patient"
    FOLLOW_PATIENT = "follow_patient"
    ACKNOWLEDGE = "acknowledge"
    SEND_EVENTS = "send_events"
    ENTER_EVENTS = "enter_events"
    CONSUME_LOG = "consume_log"
    VIEW_COHORTS = "view_cohorts"
    VIEW_MASKED = "view_masked"
    VIEW_OPERATIONS = "view_operations"
    READ_RULES = "read_rules"
    SET_PATIENT_RULES = "set_patient_rules"
    GIVE_CONSENT = "give_consent"
    READ_REGISTRY = "read_registry"
    WRITE_REGISTRY = "write_registry"
    COMMAND_DEVICES = "command_devices"
    VIEW_AUDIT = "view_audit"
    IMPERSONATE = "impersonate"
    ADMINISTER = "administer"


MEANING: Final[dict[Action, tuple[Verb, str]]] = {
    Action.VIEW_PATIENT: (Verb.VIEW, "patient"),
    Action.FOLLOW_PATIENT: (Verb.SUBSCRIBE, "patient"),
    Action.ACKNOWLEDGE: (Verb.SEND, "acknowledgement"),
    Action.SEND_EVENTS: (Verb.SEND, "event"),
    Action.ENTER_EVENTS: (Verb.SEND, "entry"),
    Action.CONSUME_LOG: (Verb.SUBSCRIBE, "log"),
    Action.VIEW_COHORTS: (Verb.VIEW, "cohorts"),
    Action.VIEW_MASKED: (Verb.VIEW, "masked"),
    Action.VIEW_OPERATIONS: (Verb.VIEW, "operations"),
    Action.READ_RULES: (Verb.VIEW, "rules"),
    Action.SET_PATIENT_RULES: (Verb.ADMIN, "rules"),
    Action.GIVE_CONSENT: (Verb.ADMIN, "consent"),
    Action.READ_REGISTRY: (Verb.VIEW, "registry"),
    Action.WRITE_REGISTRY: (Verb.ADMIN, "registry"),
    Action.COMMAND_DEVICES: (Verb.SEND, "command"),
    Action.VIEW_AUDIT: (Verb.VIEW, "audit"),
    Action.IMPERSONATE: (Verb.IMPERSONATE, "user"),
    Action.ADMINISTER: (Verb.ADMIN, "installation"),
}
SUBJECTS: Final = tuple(sorted({subject for _, subject in MEANING.values()}))
OF_INSTALLATION: Final = frozenset(
    {
        Action.VIEW_OPERATIONS,
        Action.READ_REGISTRY,
        Action.WRITE_REGISTRY,
        Action.COMMAND_DEVICES,
        Action.VIEW_AUDIT,
        Action.IMPERSONATE,
        Action.ADMINISTER,
    }
)
"""What is about the whole installation. Who was granted something for one patient, or for a group, may do none of it."""
SUBJECTS_OF_INSTALLATION: Final = frozenset(MEANING[action][1] for action in OF_INSTALLATION)
