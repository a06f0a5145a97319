"""What the pages are given. Nothing else is used: no globals, no clock."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from islet.contacts.book import ContactBook
from islet.engine.rulebook import RuleBook
from islet.log.base import Append, CursorMove, Log
from islet.model.time import Now
from islet.notify.outbox import Outbox
from islet.notify.recipients import Contact
from islet.store.base import Registry, Store
from islet.store.device_files import DeviceFiles
from islet.store.devices_base import Activities, Address, Jobs, Mailboxes, Twins
from islet.store.principals import Principals
from islet.store.refusals import Refusals
from islet.web.addresses import Network
from islet.web.live import LiveHub
from islet.web.oidc import Provider
from islet.web.uploads import Uploads


class Commits(Protocol):
    """The part of the log's group commit that pages need."""

    def submit(
        self,
        *,
        appends: Sequence[Append] = (),
        cursors: Sequence[CursorMove] = (),
        done: Callable[[Exception | None], None],
    ) -> None:
        """Join the next group; `done` is called (in another thread) once it is durable, or with the error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebAlarms:
    """What the pages about alarms need. `channels`: those that are set up; `check` raises SettingError for an address
    that a channel does not take. `push_key`: what browsers subscribe with, "" without Web Push. `received`: what
    Telegram has POSTed, and its secret."""

    outbox: Outbox
    book: ContactBook
    channels: tuple[str, ...] = ()
    check: Callable[[Contact], None] = lambda contact: None
    push_key: str = ""
    received: Callable[[object, str], bool] = lambda update, secret: False


@dataclass(frozen=True, kw_only=True, slots=True)
class WebDevices:
    """What the pages about devices need. `claim` makes a claim code for a device and a patient ("": a pseudonym), by
    whom; it raises BadInput, NotFound and AlreadyExists. `wall_now` is the wall's clock, which jobs live by. `hub_name`:
    as services and devices call the hub. `waits` tells a device's connection that a command waits for it."""

    hub_name: str
    jobs: Jobs
    mailboxes: Mailboxes
    twins: Twins
    activities: Activities
    waits: Callable[[Address], object]
    claim: Callable[[str, str, str], str]
    wall_now: Now


@dataclass(frozen=True, kw_only=True, slots=True)
class WebContext:
    """`now` is the platform's clock; it runs `speed` times as fast as the wall's. `secure`: pages come over TLS."""

    store: Store
    registry: Registry
    log: Log
    commit: Commits
    live: LiveHub
    now: Now
    speed: float = 1.0
    secure: bool = True
    session_h: float = 12.0
    rules: RuleBook | None = None
    """Which rules there are and what is set; without it there are no pages about them."""
    alarms: WebAlarms | None = None
    """Who is told and what became of it; without it there are no pages about that."""
    devices: WebDevices | None = None
    """The device side; without it there are no pages about devices."""
    uploads: Uploads | None = None
    """Exports that were sent and wait to be imported; without it there is no page for that."""
    device_files: DeviceFiles | None = None
    """What devices have uploaded; without it there are no pages for that."""
    wall: Now | None = None
    """The wall's clock, by which codes of phones change; the platform's where it is not given."""
    proxies: tuple[Network, ...] = ()
    """Whose X-Forwarded-For is believed."""
    provider: Provider | None = None
    """An OpenID provider through which people log in."""
    public_url: str = ""
    """Where people reach the portal; what the request says where it is not given."""
    erase: Callable[[str, str], None] | None = None
    """Erases a patient, by whom; without it there is no page for that."""
    refusals: Refusals = field(default_factory=Refusals)
    turned_away: Callable[[str, str, str], None] = lambda door, name, address: None
    """Told of each one who is not let in: the door, who they say they are, the address."""
    principals: Principals = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "principals", Principals(self.registry))

    def wall_us(self) -> int:
        """The wall's clock."""
        return self.now() if self.wall is None else self.wall()

    def after_us(self, wall_s: float) -> int:
        """The platform's instant `wall_s` seconds of the wall's clock from now.

        Sessions and log-in delays are about people at a desk, so they do not shrink when the platform runs faster.
        """
        return self.now() + round(wall_s * 1e6 * self.speed)


async def committed(commit: Commits, *, appends: Sequence[Append] = (), cursors: Sequence[CursorMove] = ()) -> None:
    """Return when the rows and cursors are durable; raises what the commit raised."""
    loop = asyncio.get_running_loop()
    durable: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if durable.cancelled():
            return
        if error is None:
            durable.set_result(None)
        else:
            durable.set_exception(error)

    def done(error: Exception | None) -> None:
        loop.call_soon_threadsafe(settle, error)

    commit.submit(appends=appends, cursors=cursors, done=done)
    await durable
