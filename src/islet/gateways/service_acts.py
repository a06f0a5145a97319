"""What a service does to one device: a command, a method, a change of its twin. Before it is done there is a durable line
in the audit trail: which hub policy, which device, what kind of act, that it was allowed; never what was said, which may
be health data.

Acts over many devices have a line of their own, and go past this: jobs, configurations, enrollments.
"""

from enum import StrEnum

from islet.decode.iothub_twins import ServiceTwin, Twin
from islet.gateways.exchange import Exchange, client_id
from islet.gateways.trail import Trail
from islet.store.devices_base import Address, Command


class ActKind(StrEnum):
    """In the audit trail's words."""

    COMMAND = "command"
    METHOD = "method"
    TAGS = "tags"
    CONFIGURATION = "configuration"


class ServiceActs:
    """`by` is the hub policy, whose right was checked before. All methods belong to the exchange's loop."""

    def __init__(self, exchange: Exchange, trail: Trail) -> None:
        self._exchange, self._trail = exchange, trail

    async def send(self, by: str, to: Address, command: Command) -> int:
        """As `Exchange.send`."""
        await self.allowed(by, to, ActKind.COMMAND)
        return await self._exchange.send(to, command)

    async def invoke(
        self, by: str, of: Address, name: str, payload: bytes, *, answer_s: float, connect_s: float = 0.0
    ) -> tuple[int, bytes]:
        """As `Exchange.invoke`."""
        await self.allowed(by, of, ActKind.METHOD)
        return await self._exchange.invoke(of, name, payload, answer_s=answer_s, connect_s=connect_s)

    async def change_twin(
        self, by: str, of: Address, wanted: ServiceTwin, *, whole: bool = False, etag: str | None = None
    ) -> Twin:
        """As `Exchange.change_twin`."""
        tags = wanted.tags is not None or "tags" in wanted.emptied
        desired = wanted.desired is not None or "desired" in wanted.emptied
        kinds = [ActKind.TAGS] * tags + [ActKind.CONFIGURATION] * (desired or not tags)
        await self.allowed(by, of, *kinds)
        return await self._exchange.change_twin(of, wanted, whole=whole, etag=etag)

    async def allowed(self, by: str, of: Address, *kinds: ActKind) -> None:
        """Write the line; what it says may be done then. Raises OSError."""
        thing = "module" if of.module else "device"
        await self._trail.note(f"allowed: {' and '.join(kinds)}", thing, client_id(of), by)
