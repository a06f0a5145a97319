"""Whom a policy's step reaches: contacts of people who may see the patient. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from islet.access.decide import visible
from islet.model.people import Principal, Role
from islet.notify.policy import INSTALLATION, USER, Policy, Step


class Lane(NamedTuple):
    """One recipient on one channel; lanes never wait for each other."""

    channel: str
    recipient: str


class Contact(Struct, frozen=True, kw_only=True):
    """One way to reach one person (or, without a user, a place such as a ward's chat).

    `id` names it on its channel, for good, and is shown to operators; `address` is what the channel needs (a chat, a
    mailbox, a subscription) and is shown to nobody. `shows_name` and `shows_value`: there is consent that messages
    here hold the patient's name, and the glucose value in `unit`.
    """

    id: str
    channel: str
    address: str
    user: str = ""
    role: Role | None = None
    shows_name: bool = False
    shows_value: bool = False
    language: str = ""
    unit: str = "mg/dL"
    time_zone: str = "UTC"
    enabled: bool = True
    disabled_reason: str = ""
    tested: bool = True
    """Gets the monthly test."""

    @property
    def lane(self) -> Lane:
        return Lane(self.channel, self.id)


class About(Struct, frozen=True, kw_only=True):
    """What the outbox has to know of one patient. `contacts` are those of people who may see them."""

    policy: Policy
    contacts: Sequence[Contact] = ()
    time_zone: str = "UTC"
    name: str = ""


class Directory(Protocol):
    """What the registry knows of people, as the outbox asks for it; called from several threads, answers from memory."""

    def about(self, patient: str) -> About:
        """The patient's policy and who may be told; for an unknown patient, the default and the installation."""

    def everybody(self) -> Iterable[Contact]:
        """All contacts, once each."""

    def contact(self, lane: Lane) -> Contact | None:
        """The contact that has that lane now."""

    def disable(self, contact: Contact, reason: str) -> None:
        """Its channel says that the address has ended: it is not used again until somebody enters it anew."""


_WHO: Final = {
    Role.PATIENT: "patient",
    Role.CARE_PARTNER: "care_partner",
    Role.CLINICIAN: "clinician",
    Role.ADMINISTRATOR: "operator",
}
_AUDIENCE: Final = {"patient": "patient", "care_partner": "followers", "clinician": "clinician", "operator": "operator"}


def who_is(contact: Contact) -> str:
    """The contact's person as policies name them."""
    return _WHO.get(contact.role, "") if contact.role is not None else INSTALLATION


def may_be_told(contacts: Iterable[Contact], principals: Mapping[str, Principal], patient: str) -> list[Contact]:
    """The contacts of those who may see the patient, and the installation's. `principals`: enabled users by name.

    The decision is `access.decide`'s: who loses the right to see a patient hears no more of them.
    """
    return [
        contact
        for contact in contacts
        if not contact.user or ((principal := principals.get(contact.user)) is not None and visible(principal, patient))
    ]


def reached(step: Step, contacts: Iterable[Contact], audience: Collection[str] = ()) -> list[Lane]:
    """The lanes of a step. `audience`: whom the rule is meant for, in the words of its front matter; () is everybody.

    A user whom the step names is told whatever the audience: the policy knows them.
    """
    return [
        contact.lane
        for contact in contacts
        if contact.enabled
        and _is_named(step, contact, audience)
        and step.channel in ("", contact.channel)
        and step.contact in ("", contact.id)
    ]


def _is_named(step: Step, contact: Contact, audience: Collection[str]) -> bool:
    if step.who.startswith(USER):
        return bool(contact.user) and contact.user == step.who.removeprefix(USER)
    who = who_is(contact)
    return who == step.who and (not audience or who == INSTALLATION or _AUDIENCE[who] in audience)


class FixedDirectory:
    """The same contacts and policy for every patient: an installation that knows no people's contacts."""

    def __init__(self, contacts: Sequence[Contact], policy: Policy) -> None:
        self._contacts = {contact.lane: contact for contact in contacts}
        self._policy = policy

    def about(self, patient: str) -> About:
        return About(policy=self._policy, contacts=list(self._contacts.values()))

    def everybody(self) -> Iterable[Contact]:
        return list(self._contacts.values())

    def contact(self, lane: Lane) -> Contact | None:
        return self._contacts.get(lane)

    def disable(self, contact: Contact, reason: str) -> None:
        self._contacts.pop(contact.lane, None)
