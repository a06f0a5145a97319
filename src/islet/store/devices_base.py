"""What a store of the device side does: commands that wait for devices, their twins, MQTT sessions, modules, jobs.

It is no part of the log: services and devices put these things here, and a rebuild leaves them alone. Each write is
durable when the call (or the `together` around it) returns. All methods may be called from any thread.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Final, Literal, NamedTuple, Protocol

from msgspec import Struct

from islet.decode.iothub_twins import JsonObject, ServiceTwin, Twin
from islet.errors import IsletError
from islet.model.time import DAY_US, HOUR_US

MOST_PENDING: Final = 50
MOST_DELIVERIES: Final = 10
LEASE_US: Final = 60_000_000
USUAL_LIFE_US: Final = HOUR_US
LONGEST_LIFE_US: Final = 2 * DAY_US
DEAD_KEPT_US: Final = 30 * DAY_US
FEEDBACK_BATCH: Final = 64
ENDED_KEPT_US: Final = 30 * DAY_US
MOST_DEVICES: Final = 100_000
"""Of one job."""

UNTIL_RELEASED: Final = (1 << 63) - 1
"""A lease without an end: the connection's that has the command. It does not outlive the process."""

Ack = Literal["none", "positive", "negative", "full"]


class Address(NamedTuple):
    """A device, or a module of it. The generation is the registration's: a device that was removed and made again is
    another one, and nothing of the first is given to it."""

    device: str
    generation: str
    module: str = ""


class MailboxFull(IsletError):
    """As many commands wait for the device as may."""


class LockLost(IsletError):
    """No lease has this lock token: it has ended, or the command was completed."""


class EtagDiffers(IsletError):
    """The thing is there in another version than the caller knows."""


class Outcome(StrEnum):
    """How a command ended, in the words of IoT Hub's feedback."""

    SUCCESS = "Success"
    EXPIRED = "Expired"
    TOO_OFTEN = "DeliveryCountExceeded"
    REJECTED = "Rejected"
    PURGED = "Purged"


class Command(Struct, frozen=True, kw_only=True):
    """A message to a device. `properties` have the names of IoT Hub's property bag (`$.mid` is the message id)."""

    body: bytes
    properties: dict[str, str] = {}
    ack: Ack = "none"
    expires_us: int | None = None
    """The wall's clock; None: an hour after it was sent. At most two days."""


class Letter(Struct, frozen=True, kw_only=True):
    """A command on lease. `number` grows over all devices; `deliveries` counts what was abandoned before;
    `again`: it was given out before."""

    number: int
    command: Command
    enqueued_us: int
    expires_us: int
    deliveries: int
    again: bool
    lock_token: str


class DeadCommand(Struct, frozen=True, kw_only=True):
    """A command that ended without success, kept for a person to look at for 30 days."""

    number: int
    address: Address
    command: Command
    outcome: Outcome
    enqueued_us: int
    ended_us: int


class Feedback(Struct, frozen=True, kw_only=True):
    """What the sender of a command is told of its end."""

    original_message_id: str
    outcome: Outcome
    device: str
    generation: str
    at_us: int


class FeedbackBatch(Struct, frozen=True, kw_only=True):
    """At most 64 feedbacks on one lease, oldest first."""

    lock_token: str
    records: tuple[Feedback, ...]


class Module(Struct, frozen=True, kw_only=True):
    """A module of a device: an identity of its own, with keys of its own."""

    device: str
    id: str
    generation_id: str = ""
    etag: str = ""
    primary_key: str = ""
    secondary_key: str = ""
    managed_by: str = ""


class Activity(Struct, frozen=True, kw_only=True):
    """Whether a device or module is connected, since when it is so (None: it never was otherwise), and when it was last
    there. The wall's clock, to within some seconds."""

    connected: bool
    changed_us: int | None
    seen_us: int


class JobKind(StrEnum):
    """What is done to each device; the first two words are IoT Hub's."""

    METHOD = "scheduleDeviceMethod"
    TWIN = "scheduleUpdateTwin"
    COMMAND = "scheduleCommand"


class JobStatus(StrEnum):
    """How a job stands, in IoT Hub's words."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """How it stands at one device, in IoT Hub's words. `running`: it was asked and has not answered."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class DeviceJob(Struct, frozen=True, kw_only=True):
    """What was asked for. `body` is a method call, a twin or a command, as it came. It is for the `devices` that are
    named, or (None) all that meet the `condition` when it begins. `lasts_us` after `start_us` it ends."""

    id: str
    kind: JobKind
    body: JsonObject
    condition: str = ""
    devices: tuple[str, ...] | None = None
    created_us: int
    start_us: int
    lasts_us: int
    by: str = ""

    @property
    def until_us(self) -> int:
        return self.start_us + self.lasts_us


class JobState(Struct, frozen=True, kw_only=True):
    """A job and how far it is: devices by step."""

    job: DeviceJob
    status: JobStatus
    ended_us: int | None = None
    reason: str = ""
    steps: dict[str, int] = {}

    @property
    def devices(self) -> int:
        return sum(self.steps.values())


class JobStep(Struct, frozen=True, kw_only=True):
    """A job at one device: how often it was tried, when it is tried next, and what came of it. `command` is the number
    of the command that was sent."""

    job: str
    address: Address
    step: Step = Step.PENDING
    tries: int = 0
    next_us: int = 0
    changed_us: int = 0
    command: int | None = None
    answer: JsonObject | None = None
    reason: str = ""


class Mailboxes(Protocol):
    """Commands to devices: kept while the device is away, given out on lease, ended with an outcome."""

    def put_command(self, to: Address, command: Command, now_us: int) -> int:
        """Its number. Raises MailboxFull when 50 wait already."""

    def take_commands(self, to: Address, now_us: int, lease_until_us: int, limit: int = 1) -> list[Letter]:
        """The oldest ones that nobody has on lease, in order. A lease that ends gives its command back."""

    def complete_command(self, to: Address, lock_token: str, now_us: int) -> None:
        """The device has it. Raises LockLost."""

    def reject_command(self, to: Address, lock_token: str, now_us: int) -> None:
        """The device does not want it. Raises LockLost."""

    def abandon_command(self, to: Address, lock_token: str, now_us: int) -> None:
        """It goes back, one delivery more; at the tenth it is dead. Raises LockLost."""

    def release_commands(self, to: Address, lock_tokens: Sequence[str]) -> None:
        """Their leases end now, because the connection has; no delivery is counted. Unknown tokens are left out."""

    def purge_commands(self, to: Address, now_us: int) -> int:
        """End all that wait; how many."""

    def waiting_commands(self, of: Address, now_us: int) -> list[Letter]:
        """All that wait for the device or are on lease, the oldest first, to be looked at. `lock_token` is "" where
        nobody has it on lease."""

    def pending_commands(self) -> dict[str, int]:
        """How many wait, by device; those with none are absent."""

    def expire_commands(self, now_us: int) -> int:
        """End those whose time is over, and forget the dead after 30 days; how many ended."""

    def dead_commands(
        self, device: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[DeadCommand]:
        """Newest first, of one device or all; `before` is the number from which an earlier page went on."""

    def resend_command(self, number: int, to: Address, now_us: int) -> int:
        """Put a dead command of that device into its mailbox again, for an hour; its new number. Raises NotFound and
        MailboxFull."""

    def take_feedback(self, now_us: int) -> FeedbackBatch | None:
        """The oldest feedbacks that nobody has on lease (60 s); None where there are none."""

    def complete_feedback(self, lock_token: str) -> None:
        """Forget them. Raises LockLost."""

    def abandon_feedback(self, lock_token: str) -> None:
        """Give them back. Raises LockLost."""


class Twins(Protocol):
    """A twin for each device and module; one that nobody wrote to is empty, in version 1."""

    def twin(self, of: Address) -> Twin: ...

    def twins(self) -> dict[Address, Twin]:
        """All that somebody wrote to."""

    def report(self, of: Address, patch: JsonObject, now_us: int) -> Twin:
        """Merge what the device reports. Raises BadInput for what may not be in a twin."""

    def change_twin(
        self, of: Address, wanted: ServiceTwin, now_us: int, *, whole: bool = False, etag: str | None = None
    ) -> Twin:
        """Merge tags and desired properties (`whole`: replace those that are given). Raises BadInput, and EtagDiffers
        where `etag` is given and another."""

    def note_model(self, of: Address, model_id: str) -> None:
        """The device says that it follows this model. No version and no etag changes."""


class Sessions(Protocol):
    """The subscriptions of MQTT clients that want them kept (clean session 0)."""

    def session(self, of: Address) -> tuple[tuple[str, int], ...] | None:
        """Topic filters with their QoS; None: there is no session."""

    def put_session(self, of: Address, filters: Sequence[tuple[str, int]]) -> None: ...
    def delete_session(self, of: Address) -> None: ...


class Modules(Protocol):
    """Modules of devices."""

    def modules(self, device: str) -> list[Module]:
        """In the order of their ids."""

    def module(self, device: str, id: str) -> Module | None: ...

    def create_module(self, module: Module) -> None:
        """Raises AlreadyExists."""

    def update_module(self, module: Module) -> None:
        """Raises NotFound."""

    def delete_module(self, device: str, id: str) -> None:
        """With its twin. Raises NotFound."""


class Activities(Protocol):
    """When devices and modules (named by both ids, the second "" for a device) were last there."""

    def note_activity(self, seen: Mapping[tuple[str, str], bool], at_us: int) -> None:
        """They were there at that instant, and are connected then or not."""

    def activity(self, device: str | None = None) -> dict[tuple[str, str], Activity]:
        """Of one device with its modules, or of all; who was never there is absent."""


class Jobs(Protocol):
    """All methods may be called from any thread; what they write is durable when they return."""

    def create_job(self, job: DeviceJob) -> None:
        """Raises AlreadyExists."""

    def begin_job(self, id: str, to: Sequence[Address], now_us: int) -> None:
        """Each of these is to be asked, from now on; a job that is not scheduled any more is left as it is."""

    def end_job(self, id: str, status: JobStatus, now_us: int, reason: str = "") -> None:
        """It ends; devices that have not ended yet are `canceled` or (`failed`) have failed for that reason. One that
        has ended is left as it is. Raises NotFound."""

    def job(self, id: str) -> JobState | None: ...

    def jobs(self, statuses: Sequence[JobStatus] = (), *, after: str = "", limit: int = 1000) -> list[JobState]:
        """Newest first, `after` the job of that id."""

    def job_steps(
        self, id: str | None = None, steps: Sequence[Step] = (), *, due_us: int | None = None, limit: int = 1000
    ) -> list[JobStep]:
        """Of one job or all that run, in the order of their next try; only those in these steps; due by then."""

    def put_job_step(self, step: JobStep) -> bool:
        """How it stands at a device now; False (and nothing is changed) where it has ended there."""

    def command_outcome(self, number: int) -> Outcome | None:
        """How a command ended; None while it waits."""

    def forget_jobs(self, now_us: int) -> None:
        """Those that ended 30 days ago."""


class Devices(Mailboxes, Twins, Sessions, Modules, Activities, Jobs, Protocol):
    """All of it, in one file."""

    def together(self) -> AbstractContextManager[None]:
        """What this thread writes inside becomes durable at once at the end. A call that raises inside undoes only
        itself, if the caller catches it; what leaves the block undoes all."""

    def forget(self, device: str) -> None:
        """Everything of a device that is no longer registered."""

    def erase(self, device: str) -> None:
        """That, and what jobs have asked of it and it answered."""

    def close(self) -> None: ...
