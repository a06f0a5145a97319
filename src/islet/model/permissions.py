"""A permission: who may do what for whom, until when; the words of the Nitrogen service, which had the same table.
And a consent, which stands before all of them."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

DEFAULT_PRIORITY: Final = 2_000_000_000
"""From here on are the permissions that come with a kind or a role; what people grant goes before (Nitrogen's base)."""
GRANT_PRIORITY: Final = 1_000_000
"""The first number for what administrators grant."""
ASSIGNED: Final = "assigned"
"""As `principal_for`: the patients who are assigned to the one who asks."""
PATIENT_GROUP: Final = "group/"
"""At the beginning of `principal_for`, or of one of a user's patients: all patients with the tag that follows."""


class Verb(StrEnum):
    """What is done; what it is done to is a subject (`islet.access.actions`)."""

    ADMIN = "admin"
    IMPERSONATE = "impersonate"
    SEND = "send"
    SUBSCRIBE = "subscribe"
    VIEW = "view"


class Permission(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the table. The first that fits, by priority, decides; where none fits the answer is no.

    `issued_to`: "user/anna", "application/mirror", "device/cgm-1", "service/iothubowner", "group/ward-3",
    "role/clinician"; "" is anybody. `principal_for`: a patient's id, "group/ward-3" for those with that tag, ASSIGNED,
    or "" for every patient (and for what is about nobody). `action` None is every verb; `filter` names subjects, () is every one. `expires_us` 0 is never.
    """

    id: str
    issued_to: str = ""
    principal_for: str = ""
    action: Verb | None = None
    filter: tuple[str, ...] = ()
    priority: int = GRANT_PRIORITY
    authorized: bool = True
    expires_us: int = 0
    reason: str = ""
    granted_by: str = ""


class Consent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A patient's word on whether a user may follow them. Until there is one, a care partner who was assigned to them is
    asked for, and sees nothing.

    `signed_by` and `signed_on` (a date, as 2026-03-03): of a paper that an administrator (`by`) entered. `earlier`: it was
    in force before patients were asked, and was kept.
    """

    user: str
    patient: str
    given: bool
    at_us: int
    by: str
    signed_by: str = ""
    signed_on: str = ""
    earlier: bool = False
