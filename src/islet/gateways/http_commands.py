"""Commands over HTTPS: devices fetch and end them; services send, purge, look at the dead, and hear how they ended."""

import asyncio
import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.errors import BadInput, NotFound
from islet.gateways.authenticate import Authenticator
from islet.gateways.exchange import Exchange
from islet.gateways.http_answers import TooLarge
from islet.gateways.http_body import MOST_NUMBER, admitted, number_in, read_body
from islet.gateways.http_properties import SYSTEM_PROPERTIES, read_properties
from islet.gateways.service_acts import ServiceActs
from islet.model.people import Device
from islet.model.time import iso, to_us
from islet.store.devices_base import Ack, Address, Command, DeadCommand, Feedback, Letter

MOST_COMMAND_BYTES: Final = 256 * 1024
"""IoT Hub's documentation says 64 KB; it takes as much as of devices, and Microsoft's suites send that."""
MOST_PROPERTY_BYTES: Final = 16 * 1024
FEEDBACK_TYPE: Final = "application/vnd.microsoft.iothub.feedback.json"
_PRINTABLE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_HEADERS: Final = {short: name for name, short in SYSTEM_PROPERTIES.items()}
_ACKS: Final = ("none", "positive", "negative", "full")
_MOST_DEAD: Final = 1000


class DeviceCommands:
    """What devices call."""

    def __init__(self, authenticator: Authenticator, exchange: Exchange) -> None:
        self._authenticator = authenticator
        self._exchange = exchange

    async def receive(self, request: Request) -> Response:
        """200 with the next command, on lease for a minute (its ETag is the lock token); 204: there is none."""
        letters = await self._exchange.take_one(self._address(request))
        if not letters:
            return Response(status_code=204)
        letter = letters[0]
        return Response(letter.command.body, headers=_command_headers(request.path_params["id"], letter))

    async def finish(self, request: Request) -> Response:
        """204: it is completed, with `?reject` rejected; 412 when the lock is lost."""
        address, lock_token = self._address(request), _lock_token(request)
        if {"reject", "?reject"} & request.query_params.keys():  # the SDK for Java writes its own mark once more
            await self._exchange.reject(address, lock_token)
        else:
            await self._exchange.complete(address, lock_token)
        return Response(status_code=204)

    async def abandon(self, request: Request) -> Response:
        """204: it waits again; 412 when the lock is lost."""
        await self._exchange.abandon(self._address(request), _lock_token(request))
        return Response(status_code=204)

    def _address(self, request: Request) -> Address:
        """SDKs spell the box in two ways."""
        _check_box(request, "devicebound")
        identity, device = admitted(self._authenticator, request)
        self._exchange.presence.heard(identity.client_id)
        return self._authenticator.address(identity, device)


class ServiceCommands:
    """What services call; each handler checks the caller's rights itself."""

    def __init__(self, authenticator: Authenticator, exchange: Exchange) -> None:
        self._authenticator = authenticator
        self._exchange = exchange
        self._acts = ServiceActs(exchange, authenticator.trail)

    async def send(self, request: Request) -> Response:
        """204 once the command is durable. (Ours: IoT Hub has this over AMQP only.) `iothub-to` names the device as
        there: /devices/{id}/messages/deviceBound. 403 when 50 wait already."""
        by = self._check(request, "messages/devicebound")
        _check_box(request, "devicebound")
        parts = unquote(request.headers.get("iothub-to", "")).split("/")
        if len(parts) != 5 or parts[:2] != ["", "devices"] or parts[3:] != ["messages", parts[4]]:
            raise BadInput("iothub-to: expected /devices/{id}/messages/deviceBound", reason="schema")
        device = await self._authenticator.registered(parts[2])
        number = await self._acts.send(by, _address(device), await _read_command(request))
        return Response(status_code=204, headers={"iothub-sequencenumber": str(number)})

    async def purge(self, request: Request) -> Response:
        device, by = await self._device(request)
        count = await self._exchange.write(
            lambda: self._exchange.devices.purge_commands(_address(device), self._exchange.wall_now())
        )
        await self._note(f"purged {count} commands", device, by)
        return JSONResponse({"deviceId": device.id, "moduleId": None, "totalMessagesPurged": count})

    async def list_dead(self, request: Request) -> Response:
        """Commands to the device that ended without success, newest first. (Ours.)"""
        device, _ = await self._device(request)
        asked = request.query_params
        before = number_in(asked.get("before", str(MOST_NUMBER)), "before")
        top = number_in(asked.get("top", "100"), "top", _MOST_DEAD)
        found = await self._exchange.write(
            lambda: self._exchange.devices.dead_commands(device.id, before=before, limit=top)
        )
        return JSONResponse([_dead_json(dead) for dead in found])

    async def resend(self, request: Request) -> Response:
        """204: the dead command waits for the device again, for an hour. (Ours.)"""
        device, by = await self._device(request)
        dead = number_in(request.path_params["number"], "number")
        number = await self._exchange.send_again(_address(device), dead)
        await self._note(f"sent a dead command again, as {number}", device, by)
        return Response(status_code=204, headers={"iothub-sequencenumber": str(number)})

    async def feedback(self, request: Request) -> Response:
        """200 with at most 64 feedbacks, on lease for a minute; 204: there are none."""
        self._check_feedback(request)
        batch = await self._exchange.write(lambda: self._exchange.devices.take_feedback(self._exchange.wall_now()))
        if batch is None:
            return Response(status_code=204)
        headers = {"ETag": f'"{batch.lock_token}"', "iothub-enqueuedtime": iso(batch.records[-1].at_us)}
        return JSONResponse([_feedback_json(one) for one in batch.records], headers=headers, media_type=FEEDBACK_TYPE)

    async def complete_feedback(self, request: Request) -> Response:
        self._check_feedback(request)
        lock_token = _lock_token(request)
        await self._exchange.write(lambda: self._exchange.devices.complete_feedback(lock_token))
        return Response(status_code=204)

    async def abandon_feedback(self, request: Request) -> Response:
        self._check_feedback(request)
        lock_token = _lock_token(request)
        await self._exchange.write(lambda: self._exchange.devices.abandon_feedback(lock_token))
        return Response(status_code=204)

    def _check_feedback(self, request: Request) -> None:
        _check_box(request, "servicebound")
        self._check(request, "messages/servicebound/feedback")

    def _check(self, request: Request, path: str) -> str:
        return self._authenticator.check_service(path, request.headers.get("authorization", ""))

    async def _device(self, request: Request) -> tuple[Device, str]:
        """The device in the path, and who asks."""
        id: str = request.path_params["id"]
        by = self._check(request, f"devices/{id}")
        return await self._authenticator.registered(id), by

    async def _note(self, action: str, device: Device, by: str) -> None:
        await asyncio.to_thread(self._authenticator.note, action, "device", device.id, by)


def _address(device: Device) -> Address:
    return Address(device.id, device.generation_id)


def _check_box(request: Request, expected: str) -> None:
    """Raises NotFound for another box; case does not matter."""
    if request.path_params["box"].lower() != expected:
        raise NotFound("expected /messages/events, /messages/deviceBound or /messages/serviceBound/feedback")


def _lock_token(request: Request) -> str:
    lock_token: str = request.path_params["lock_token"]
    return lock_token.strip('"')


async def _read_command(request: Request) -> Command:
    body = await read_body(request)
    if len(body) > MOST_COMMAND_BYTES:
        raise TooLarge(f"body: expected at most {MOST_COMMAND_BYTES} bytes")
    properties = dict(read_properties(request.headers.items()))
    properties.pop("$.to", None)
    if sum(len(quote(name) + quote(value)) for name, value in properties.items()) > MOST_PROPERTY_BYTES:
        raise TooLarge(f"properties: expected at most {MOST_PROPERTY_BYTES} bytes")
    ack = request.headers.get("iothub-ack", "none").lower()
    if ack not in _ACKS:
        raise BadInput(f"iothub-ack: expected one of {', '.join(_ACKS)}", reason="schema")
    expires_us = _instant_us(properties.pop("$.exp", ""))
    return Command(body=body, properties=properties, ack=cast(Ack, ack), expires_us=expires_us)


def _instant_us(text: str) -> int | None:
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput("iothub-expiry: expected an instant, such as 2026-11-21T08:03:00Z", reason="time") from None
    return to_us(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def _command_headers(device: str, letter: Letter) -> dict[str, str]:
    command = letter.command
    headers = {
        "ETag": f'"{letter.lock_token}"',
        "iothub-to": f"/devices/{device}/messages/deviceBound",
        "iothub-sequencenumber": str(letter.number),
        "iothub-enqueuedtime": iso(letter.enqueued_us),
        "iothub-deliverycount": str(letter.deliveries),
        "iothub-expiry": iso(letter.expires_us),
        "iothub-ack": command.ack,
    }
    return headers | _property_headers(command.properties)


def _property_headers(properties: Mapping[str, str]) -> dict[str, str]:
    """What a header cannot hold as it is, is percent-encoded."""
    return {
        _HEADERS.get(name) or f"iothub-app-{quote(name, safe='')}": quote(value, safe=_PRINTABLE)
        for name, value in properties.items()
    }


def _dead_json(dead: DeadCommand) -> dict[str, object]:
    return {
        "sequenceNumber": dead.number,
        "deviceId": dead.address.device,
        "deviceGenerationId": dead.address.generation,
        "outcome": dead.outcome.value,
        "enqueuedTimeUtc": iso(dead.enqueued_us),
        "endedTimeUtc": iso(dead.ended_us),
        "properties": dead.command.properties,
        "body": base64.b64encode(dead.command.body).decode(),
    }


def _feedback_json(feedback: Feedback) -> dict[str, object]:
    return {
        "originalMessageId": feedback.original_message_id,
        "deviceId": feedback.device,
        "deviceGenerationId": feedback.generation,
        "enqueuedTimeUtc": iso(feedback.at_us),
        "statusCode": feedback.outcome.value,
        "description": feedback.outcome.value,
    }
