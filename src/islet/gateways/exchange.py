"""What passes between services and devices: commands, twins and methods, whichever door each came through."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from islet.decode.iothub_twins import JsonObject, ServiceTwin, Twin
from islet.errors import NotFound
from islet.gateways.desk import Desk
from islet.gateways.presence import NoAnswer, Presence
from islet.gateways.twin_changes import TwinChanges
from islet.model.time import Now
from islet.store.devices_base import LEASE_US, UNTIL_RELEASED, Address, Command, Devices, Letter

_TIDY_S = 5.0
Result = TypeVar("Result")

_log = structlog.get_logger("islet.gateways.exchange")


def _model_kept(done: "asyncio.Future[None]") -> None:
    """Nobody waits for it."""
    if not done.cancelled() and done.exception() is not None:
        _log.error("model_not_kept", error=type(done.exception()).__name__)


def client_id(of: Address) -> str:
    """The MQTT client id of a device or module."""
    return f"{of.device}/{of.module}" if of.module else of.device


class Exchange:
    """One for all gateways of a process; made in the running loop, whose thread all methods belong to.

    `wall_now` is the wall's clock: commands live by it, as tokens do.
    """

    def __init__(
        self,
        devices: Devices,
        wall_now: Now,
        changes: TwinChanges | None = None,
        is_registered: Callable[[str], bool] = lambda device: True,
    ) -> None:
        """`changes` is told of changed twins. `is_registered` is asked from any thread."""
        self.presence = Presence()
        self.devices = devices
        self.wall_now = wall_now
        self._changes, self._is_registered = changes, is_registered
        self._desk = Desk(devices)
        self._tidying = asyncio.create_task(self._tidy_regularly(), name="mailboxes-tidy")

    def write(self, act: Callable[[], Result]) -> "asyncio.Future[Result]":
        """What `act` returns, once what it wrote to the store is durable."""
        return self._desk.ask(act)

    # --- commands ---

    async def send(self, to: Address, command: Command) -> int:
        """Put a command into the device's mailbox; its number, once it is durable. Raises MailboxFull."""
        number = await self.write(lambda: self.devices.put_command(to, command, self.wall_now()))
        self.command_waits(to)
        return number

    async def send_again(self, to: Address, number: int) -> int:
        """Put a dead command into the device's mailbox again. Raises NotFound and MailboxFull."""
        again = await self.write(lambda: self.devices.resend_command(number, to, self.wall_now()))
        self.command_waits(to)
        return again

    def take(self, to: Address, limit: int) -> "asyncio.Future[list[Letter]]":
        """Commands for a connection, on lease for as long as it lasts; it must release them at its end."""
        return self.write(lambda: self.devices.take_commands(to, self.wall_now(), UNTIL_RELEASED, limit))

    def take_one(self, to: Address) -> "asyncio.Future[list[Letter]]":
        """The next command (or none) on lease for a minute."""
        return self.write(lambda: self.devices.take_commands(to, self.wall_now(), self.wall_now() + LEASE_US))

    def complete(self, to: Address, lock_token: str) -> "asyncio.Future[None]":
        return self.write(lambda: self.devices.complete_command(to, lock_token, self.wall_now()))

    def reject(self, to: Address, lock_token: str) -> "asyncio.Future[None]":
        return self.write(lambda: self.devices.reject_command(to, lock_token, self.wall_now()))

    async def abandon(self, to: Address, lock_token: str) -> None:
        await self.write(lambda: self.devices.abandon_command(to, lock_token, self.wall_now()))
        self.command_waits(to)

    def release(self, to: Address, lock_tokens: Sequence[str]) -> None:
        """Give back what a connection had on lease; the next one is told."""
        released = self.write(lambda: self.devices.release_commands(to, lock_tokens))
        released.add_done_callback(
            lambda done: None if done.cancelled() or done.exception() else self.command_waits(to)
        )

    def command_waits(self, to: Address) -> None:
        """Tell the device, if it is connected, that something is in its mailbox."""
        link = self.presence.link(client_id(to))
        if link is not None:
            link.command_waits()

    # --- twins ---

    def twin(self, of: Address) -> "asyncio.Future[Twin]":
        """The twin with everything that was asked for before."""
        return self.write(lambda: self.devices.twin(of))

    def report(self, of: Address, patch: JsonObject) -> "asyncio.Future[Twin]":
        def keep() -> Twin:
            if not self._is_registered(of.device):  # whose connection is about to end
                raise NotFound("the device is not registered any more")
            return self.devices.report(of, patch, self.wall_now())

        reported = self.write(keep)
        changes = self._changes
        if changes is not None:
            reported.add_done_callback(
                lambda done: (
                    None if done.cancelled() or done.exception() else changes.reported(of, patch, done.result())
                )
            )
        return reported

    async def change_twin(
        self, of: Address, wanted: ServiceTwin, *, whole: bool = False, etag: str | None = None
    ) -> Twin:
        """Change it, and tell the device if it is connected. Raises BadInput and EtagDiffers."""

        def change() -> tuple[ServiceTwin, Twin]:
            patch = wanted.spelled_out(self.devices.twin(of)) if wanted.emptied else wanted
            return patch, self.devices.change_twin(of, patch, self.wall_now(), whole=whole, etag=etag)

        patch, twin = await self.write(change)
        if self._changes is not None:
            self._changes.wanted(of, patch, twin)
        link = self.presence.link(client_id(of))
        if link is not None and patch.desired is not None:
            link.desired_changed(patch.desired, twin.desired.version)
        return twin

    def follows(self, of: Address, model_id: str) -> None:
        """A device has connected and said which model it follows. Who asks for its twin from now on is told."""
        self.write(lambda: self.devices.note_model(of, model_id)).add_done_callback(_model_kept)

    # --- methods ---

    async def invoke(
        self, of: Address, name: str, payload: bytes, *, answer_s: float, connect_s: float = 0.0
    ) -> tuple[int, bytes]:
        """Call a method of a connected device: status and payload of its answer.

        Raises NotOnline when it is not there within `connect_s`, NoAnswer when it says nothing for `answer_s`.
        """
        link = await self.presence.method_link(client_id(of), connect_s)
        try:
            return await asyncio.wait_for(link.invoke(name, payload), answer_s)
        except TimeoutError:
            raise NoAnswer("Timed out waiting for the response from device.") from None

    async def note_activity(self) -> None:
        """Write down who was there since the last time."""
        seen = {
            (device, module): on
            for id, on in self.presence.take_seen().items()
            for device, _, module in [id.partition("/")]
        }
        if seen:
            await self.write(lambda: self.devices.note_activity(seen, self.wall_now()))

    async def close(self) -> None:
        """Do what was asked, then end."""
        self._tidying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tidying
        with contextlib.suppress(Exception):  # the disk; the next start says the same
            await self.note_activity()
        await self._desk.close()

    async def _tidy_regularly(self) -> None:
        """End commands whose time is over, so that their senders hear of it soon."""
        while True:
            await asyncio.sleep(_TIDY_S)
            try:
                await self.write(lambda: self.devices.expire_commands(self.wall_now()))
                await self.write(lambda: self.devices.forget_jobs(self.wall_now()))
                await self.note_activity()
            except Exception:
                _log.exception("tidying_failed")
