"""Registers devices that have leave to register themselves, and says so in the Device Provisioning Service's JSON,
whichever door they came through."""

import asyncio
import secrets
from contextlib import suppress
from typing import Final

import structlog

from islet.decode.iothub_twins import UNWRITTEN, JsonObject, ServiceTwin
from islet.errors import AlreadyExists, BadInput, IsletError, NotFound
from islet.gateways.enrollments import Enrollments, Grant
from islet.gateways.exchange import Exchange
from islet.model.people import Device
from islet.model.time import iso
from islet.store.devices_base import Address, EtagDiffers

POLL_S: Final = 1
"""Devices ask again after so long until they are told `assigned`; that they are is so before the first answer."""

_log = structlog.get_logger("islet.gateways.provisioning")


class Registrar:
    """One for all doors of a process."""

    def __init__(self, enrollments: Enrollments, exchange: Exchange, hub_name: str) -> None:
        self.enrollments = enrollments
        self._exchange, self._hub_name = exchange, hub_name

    async def register(self, grant: Grant) -> Device:
        """The device as it is registered then, with the enrollment's twin if nobody has written another. Raises BadInput
        and AlreadyExists."""
        device, is_new = await asyncio.to_thread(self.enrollments.register, grant)
        first = grant.enrollment
        if first.tags or first.desired:  # also where it is not new: what came between the two is made up for
            wanted, of = ServiceTwin(tags=first.tags, desired=first.desired), Address(device.id, device.generation_id)
            with suppress(EtagDiffers):
                await self._exchange.change_twin(of, wanted, etag=UNWRITTEN.etag)
        _log.info("registered", device=device.id, enrollment=grant.enrollment_id, new=is_new)
        return device

    async def found(self, id: str, grant: Grant, operation: str) -> Device:
        """The device that an operation has registered. Raises NotFound."""
        device = await asyncio.to_thread(self.enrollments.registered, grant)
        if operation != operation_id(id) or device is None:
            raise NotFound("the operation is not known here")
        return device

    def assigned(self, id: str, device: Device) -> JsonObject:
        """Of an operation that is done."""
        return {
            "operationId": operation_id(id),
            "status": "assigned",
            "registrationState": {
                "registrationId": id,
                "createdDateTimeUtc": iso(device.created_us),
                "assignedHub": self._hub_name,
                "deviceId": device.id,
                "status": "assigned",
                "substatus": "initialAssignment",
                "lastUpdatedDateTimeUtc": iso(self._exchange.wall_now()),
                "etag": device.etag,
            },
        }

    def problem(self, status: int, message: str) -> JsonObject:
        """What went wrong."""
        return {
            "errorCode": status * 1000,
            "trackingId": secrets.token_hex(16),
            "message": message,
            "timestampUtc": iso(self._exchange.wall_now()),
        }


def operation_id(id: str) -> str:
    """A name of the registration that is the same on each connection."""
    return f"4.{id}"


def assigning(id: str) -> JsonObject:
    """Of an operation that was taken on."""
    return {"operationId": operation_id(id), "status": "assigning"}


def status_of(error: Exception) -> int:
    """The HTTP status that an error of a registration is answered with; 503 where it is ours."""
    return next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 503)


_STATUS: Final[dict[type[IsletError], int]] = {BadInput: 400, NotFound: 404, AlreadyExists: 409}
