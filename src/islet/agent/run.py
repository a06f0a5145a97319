"""An agent that runs: connected when it can be, working in any case."""

import asyncio
import contextlib
import functools
import random
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from islet.access.sas import ConnectionString
from islet.agent.commands import NAMES, Told, command_json, read_command
from islet.agent.device import Device
from islet.agent.disk import QueueFull
from islet.agent.hub import Hub, HubRefused
from islet.agent.mqtt_client import FIRST_PAUSE_S, LONGEST_PAUSE_S, TOKEN_LASTS_S, Address, ConnectionLost
from islet.agent.outlet import Outlet
from islet.decode.iothub_twins import JsonObject
from islet.errors import AccessDenied, BadInput
from islet.model.foreign_json import UNREADABLE
from islet.model.time import Now

LOOK_S: Final = 0.5
RENEW_AT: Final = 0.85
"""Of a token's life, which may be a second shorter (it is dated in whole ones): then the agent comes with a new one."""

_TOGETHER: Final = 64
_SETTLE_S: Final = 5.0


class Agent:
    """`say` is told what an operator may read. All methods belong to the running loop."""

    def __init__(
        self,
        device: Device,
        address: Address,
        credentials: ConnectionString,
        outlet: Outlet,
        wall_now: Now,
        rng: random.Random,
        say: Callable[[str], None],
        *,
        token_lasts_s: int = TOKEN_LASTS_S,
        first_pause_s: float = FIRST_PAUSE_S,
        facts: JsonObject | None = None,
    ) -> None:
        self.device = device
        self.connections = 0
        self._address, self._credentials, self._outlet = address, credentials, outlet
        self._wall_now, self._rng, self._say = wall_now, rng, say
        self._token_lasts_s, self._first_pause_s = token_lasts_s, first_pause_s
        self._facts = facts or {}
        self._interval_min = 0.0
        self._something = asyncio.Event()
        self._report = asyncio.Event()
        device.changed = self._something.set

    async def run(self) -> None:
        """Until cancelled. Raises what no waiting mends: BadInput for a key that is none, sqlite3.Error, OSError."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._live())
                group.create_task(self._stay_connected())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    # --- what goes on without any connection ---

    async def _live(self) -> None:
        said = 0
        while True:
            for started in self.device.work():
                failed = await self._outlet.tell("locate", {"id": started.id})
                self.device.commands.ended(started.id, failed=failed)
            await self._show()
            if self.device.commands.changes != said:
                said = self.device.commands.changes
                self._report.set()
            self._something.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._something.wait()

    async def _show(self) -> None:
        interval_min = self.device.configuration.interval_min
        if interval_min != self._interval_min:
            self._interval_min = interval_min
            await self._outlet.tell("interval", {"minutes": interval_min})
        warnings, self.device.warnings = self.device.warnings[-1:], []  # the newest says how it is
        for warning in warnings:
            await self._outlet.tell("warning", warning)
        for asked in self.device.prompting.to_show():
            await self._outlet.tell("prompt", {"id": asked.id, "text": asked.text})
            self.device.prompting.shown(asked.id)

    # --- the connection ---

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            if failures:
                pause_s = min(self._first_pause_s * 2.0 ** min(failures, 16), LONGEST_PAUSE_S)
                await asyncio.sleep(pause_s * self._rng.uniform(0.5, 1.0))
            try:
                async with self._connected() as hub:
                    if self.connections == 1 or failures:
                        self._say("connected")
                    failures = 0
                    await self._serve(hub)
            except AccessDenied:
                failures = 16  # an operator has to do something: not often
                self._say(
                    "the platform refuses this device: it is disabled, its key or the hub's name is another one, or the"
                    " clock is wrong here"
                )
            except (ConnectionLost, HubRefused, QueueFull) as error:
                if not failures:
                    self._say(str(error))
                failures += 1

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Hub]:
        hub = await Hub.connect(
            self._address,
            self._credentials,
            self._wall_now,
            token_lasts_s=self._token_lasts_s,
            on_command=self._take_command,
            on_method=self._method,
        )
        self.connections += 1
        try:
            yield hub
        finally:
            await hub.close()

    async def _serve(self, hub: Hub) -> None:
        """Return when the token is to be renewed. Raises ConnectionLost and HubRefused."""
        under_way: set[asyncio.Future[None]] = set()
        tasks = [asyncio.create_task(self._send(hub, under_way)), asyncio.create_task(self._configure(hub))]
        lost = asyncio.ensure_future(_until_lost(hub))
        try:
            done, _ = await asyncio.wait(
                [*tasks, lost], timeout=(self._token_lasts_s - 1) * RENEW_AT, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            for task in (*tasks, lost):
                task.cancel()
            await asyncio.gather(*tasks, lost, return_exceptions=True)
        if under_way:
            await asyncio.wait(under_way, timeout=_SETTLE_S)

    async def _send(self, hub: Hub, under_way: set[asyncio.Future[None]]) -> None:
        """Everything that waits, in order; what is not acknowledged before the connection ends is sent again."""
        queue, last = self.device.queue, 0
        queue.forget_done()
        while True:
            events = queue.after(last, _TOGETHER)
            for number, payload in events:
                properties = {"$.mid": f"{number}", "$.ct": "application/json", "$.ce": "utf-8"}
                sent = await hub.client.send(payload, properties)
                under_way.add(sent)
                sent.add_done_callback(under_way.discard)
                sent.add_done_callback(functools.partial(self._sent, number))
                last = number
            if not events:
                await queue.filled()

    def _sent(self, number: int, sent: "asyncio.Future[None]") -> None:
        if not sent.cancelled() and sent.exception() is None:
            self.device.queue.done(number)

    async def _configure(self, hub: Hub) -> None:
        """Apply what is desired at first and at each change; report it, and what became of commands."""
        hub.desired_changed.set()
        self._report.set()
        while True:
            if hub.desired_changed.is_set():
                hub.desired_changed.clear()
                said = self.device.desired(await hub.desired())
                self._something.set()  # the interval may be another
            else:
                said = self.device.desired({})
            self._report.clear()
            await hub.report({**said, **self._facts})
            await _first(hub.desired_changed, self._report)

    # --- what services ask ---

    def _take_command(self, message_id: str, body: bytes) -> None:
        id, name, arguments = read_command(body, message_id)
        self.device.command(id or f"unnamed-{self._rng.getrandbits(64):x}", name, arguments)

    async def _method(self, rid: str, name: str, payload: bytes) -> tuple[int, bytes]:
        """A method is a command that is answered at once; its id is `id` in the payload, if it has one."""
        body = payload if payload.strip() not in (b"", b"null") else b"{}"
        id, _, arguments = read_command(_with_name(body, name), "")
        id = id or f"method-{self._rng.getrandbits(64):x}"
        if name not in NAMES:
            return 404, msgspec.json.encode({"reason": f"expected one of {', '.join(NAMES)}"})
        self.device.command(id, name, arguments)
        for started in self.device.work():
            failed = await self._outlet.tell("locate", {"id": started.id})
            self.device.commands.ended(started.id, failed=failed)
        self._something.set()
        told: Told = self.device.commands.told(id)
        return (400 if told.state == "refused" else 200), msgspec.json.encode(command_json(told))


async def _until_lost(hub: Hub) -> None:
    await asyncio.shield(hub.client.lost)
    raise ConnectionLost("front door: the connection has ended")


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _with_name(body: bytes, name: str) -> bytes:
    try:
        parsed = msgspec.json.decode(body, type=dict[str, object])
    except UNREADABLE:
        raise BadInput("payload: expected a JSON object", reason="command") from None
    return msgspec.json.encode({**parsed, "command": name})
