"""Faults of an AMQP connection that a device asks for."""

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from proton import Link, Receiver

from islet.decode.faults import Fault, asked_fault
from islet.decode.iothub_amqp import Place, parse_address
from islet.gateways.amqp_links import FORCED, Incoming, Outgoing, end_link


class Faulty(Protocol):
    """An AMQP connection that faults befall; once it is closed, none does."""

    @property
    def handlers(self) -> Mapping[Link, Incoming | Outgoing]:
        """Of the links that are open."""

    def sever(self) -> None:
        """Cut it off without a word."""

    def end(self, name: str, description: str) -> None: ...

    def wake(self) -> None: ...


class AmqpFaults:
    """The faults of one AMQP connection."""

    def __init__(self, connection: Faulty) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._refusal: tuple[str, float] | None = None  # a condition, and until when

    def refusal(self) -> str | None:
        """The condition with which telemetry is refused now."""
        if self._refusal is not None and self._loop.time() >= self._refusal[1]:
            self._refusal = None
        return None if self._refusal is None else self._refusal[0]

    def take(self, properties: Mapping[str, str]) -> bool:
        """Whether a message asks for a fault, which then comes."""
        fault = asked_fault(properties)
        if fault is not None:
            self._loop.call_later(fault.delay_s, self._befall, fault)
        return fault is not None

    def _befall(self, fault: Fault) -> None:
        connection, reason = self._connection, fault.reason
        if fault.kind in _REFUSALS:
            self._refusal = _REFUSALS[fault.kind], self._loop.time() + fault.lasts_s
        elif fault.kind in _LINKS:
            place, to_us = _LINKS[fault.kind]
            for link, handler in list(connection.handlers.items()):
                if isinstance(link, Receiver) is to_us and _place(link) is place:
                    handler.refuse(FORCED, reason)
        elif fault.kind == "KillAmqpSession":
            for session in {link.session for link in connection.handlers}:
                end_link(session, FORCED, reason)
            connection.wake()
        elif fault.kind in ("KillAmqpConnection", "ShutDownAmqp"):
            connection.end(FORCED, reason)
        elif fault.kind == "KillTcp":
            connection.sever()


def _place(link: Link) -> Place:
    terminus = link.remote_target if isinstance(link, Receiver) else link.remote_source
    return parse_address(terminus.address or "").place


_REFUSALS: Final = {
    "InvokeThrottling": "com.microsoft:device-container-throttled",
    "InvokeMaxMessageQuota": "amqp:resource-limit-exceeded",
    "InvokeAuthError": "amqp:unauthorized-access",
}
_LINKS: Final = {
    "KillAmqpCBSLinkReq": (Place.TOKENS, True),
    "KillAmqpCBSLinkResp": (Place.TOKENS, False),
    "KillAmqpD2CLink": (Place.TELEMETRY, True),
    "KillAmqpC2DLink": (Place.COMMANDS, False),
    "KillAmqpMethodReqLink": (Place.METHODS, False),
    "KillAmqpMethodRespLink": (Place.METHODS, True),
    "KillAmqpTwinLinkReq": (Place.TWIN, True),
    "KillAmqpTwinLinkResp": (Place.TWIN, False),
}
