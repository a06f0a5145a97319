"""A family and its platform: contacts, a policy, an outbox with channels that are lists, and a clock moved by hand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

from msgspec import structs

from islet.log.memory import MemoryLog
from islet.model.alerts import AlertChange, Severity
from islet.model.people import Role
from islet.model.time import MINUTE_US
from islet.notify.base import Kind, Message, Notifier, Outcome
from islet.notify.outbox import Outbox
from islet.notify.pager import Rules
from islet.notify.policy import Policy, Step
from islet.notify.recipients import About, Contact, FixedDirectory, Lane
from islet.notify.sending import Opens
from tests.notify.scenario import KEY, NOW, ListChannel, append, change

URGENT, WARNING, NOTICE, TECHNICAL = Severity
PAUL = Contact(id="paul", channel="list", address="p", user="paul", role=Role.PATIENT, tested=False)
ANNA = Contact(id="anna", channel="list", address="a", user="anna", role=Role.CARE_PARTNER, tested=False)
ADMIN = Contact(id="admin", channel="list", address="o", user="admin", role=Role.ADMINISTRATOR, tested=False)
FAMILY = Policy(steps=(Step(who="patient", repeat_min=5.0), Step(who="care_partner", after_min=10.0, repeat_min=15.0)))
RULES = Rules({"low": "urgent_low"}, sustained_us={"sustained": 60 * MINUTE_US})


def minute(number: float) -> int:
    return NOW + round(number * MINUTE_US)


class Directory(FixedDirectory):
    """Contacts that can be exchanged, and a name for everybody."""

    def about(self, patient: str) -> About:
        return structs.replace(super().about(patient), name="Paul Klein")

    def change(self, contacts: Sequence[Contact], policy: Policy) -> None:
        super().__init__(contacts, policy)


class Named(ListChannel):
    """A list that is on another channel than `list`."""

    def __init__(self, recipient: str, name: str) -> None:
        super().__init__(recipient)
        self.name = name


class Home:
    """The outbox of a family; `told` has (minute, recipient, kind, message) in the order of arrival."""

    def __init__(
        self,
        path: Path,
        contacts: Sequence[Contact] = (PAUL, ANNA),
        policy: Policy = FAMILY,
        *,
        acknowledge: Callable[[str, Contact], bool] | None = None,
        channels: Mapping[str, Opens] | None = None,
    ) -> None:
        self._path, self._acknowledge = path, acknowledge
        self.directory = Directory(contacts, policy)
        self.log = MemoryLog(partitions=2)
        self.lists: dict[Lane, ListChannel] = {}
        self.told: list[tuple[float, str, Kind]] = []
        self.messages: list[Message] = []
        self.now = 0.0
        self.newest: float | None = None
        """The minute of the newest reading that the engine has looked at."""
        self._channels: Mapping[str, Opens] = {"list": self._open, "telegram": self._open, **(channels or {})}
        self.box = self._outbox()

    def _outbox(self) -> Outbox:
        return Outbox(
            self._path / "store.db",
            KEY,
            page_max_age_min=30.0,
            notify_give_up_h=24.0,
            rng=Random(1),
            patience_s=5.0,
            directory=self.directory,
            channels=self._channels,
            rules=RULES,
            acknowledge=self._acknowledge,
            acknowledge_url="https://islet.example.org/acknowledge/",
            known_us=lambda patient, rule: None if self.newest is None else minute(self.newest),
        )

    def _open(self, contact: Contact) -> Notifier:
        home, inner = self, self.lists.setdefault(contact.lane, Named(contact.id, contact.channel))

        class Watched:
            name, recipient = contact.channel, contact.id

            def send(self, message: Message, now_us: int) -> Outcome:
                before = len(inner.received)
                outcome = inner.send(message, now_us)
                if len(inner.received) > before:
                    home.told.append((home.now, contact.id, message.kind))
                    home.messages.append(message)
                return outcome

        return Watched()

    def says(self, *changes: AlertChange) -> None:
        """The engine, or a person, writes into the log."""
        append(self.log, *changes)

    def at(self, number: float) -> None:
        """What the worker does once, at that minute."""
        self.now = number
        self.box.take_in(self.log, minute(number))
        while self.box.deliver_due(minute(number)):
            self.box.schedule(minute(number))

    def until(self, number: float) -> None:
        """From one instant to the next at which something is due."""
        self.at(self.now)
        while (next_us := self.box.next_page_us()) is not None and next_us <= minute(number):
            self.at(max(self.now, (next_us - NOW) / MINUTE_US))
        self.at(number)

    def restart(self, *, gently: bool) -> None:
        """Stop, or be killed, and start again."""
        if gently:
            self.box.close()
        self.box = self._outbox()

    def kinds(self) -> list[tuple[float, str, str]]:
        """(minute, recipient, kind), those of one minute by recipient: channels answer in no order."""
        return sorted([(at, who, str(kind)) for at, who, kind in self.told], key=lambda one: one[:2])


def opened(rule: str = "urgent_low", severity: Severity = URGENT, at: float = 0.0) -> AlertChange:
    return change("opened", rule=rule, severity=severity, onset_us=minute(at))


def cleared(rule: str = "urgent_low", severity: Severity = URGENT, onset: float = 0.0, at: float = 0.0) -> AlertChange:
    return change("cleared", rule=rule, severity=severity, onset_us=minute(onset), at_us=minute(at))


def acknowledged(
    rule: str = "urgent_low", severity: Severity = URGENT, onset: float = 0.0, at: float = 0.0
) -> AlertChange:
    return change("acknowledged", rule=rule, severity=severity, onset_us=minute(onset), at_us=minute(at))
