"""What one MQTT client gets that registers itself (the Device Provisioning Service's part of the listener)."""

import asyncio
import secrets
from typing import Final

import msgspec
import structlog

from islet.decode.iothub_dps import RESPONSES, parse_request, response_topic
from islet.decode.iothub_twins import JsonObject, ServiceTwin
from islet.decode.mqtt_packets import Publish, Suback, Subscribe
from islet.errors import AlreadyExists, BadInput, IsletError, NotFound, ProtocolError
from islet.gateways.enrollments import Enrollments, Grant
from islet.gateways.exchange import Exchange
from islet.gateways.mqtt_session import Outlet, TelemetryOnly
from islet.model.people import Device
from islet.model.time import iso
from islet.store.devices_base import Address

_POLL_S: Final = 1
_log = structlog.get_logger("islet.gateways.mqtt")


class Registration(TelemetryOnly):
    """The session of a connection that may register as `grant` says, and do nothing else."""

    def __init__(
        self,
        enrollments: Enrollments,
        exchange: Exchange,
        hub_name: str,
        registration_id: str,
        grant: Grant,
        out: Outlet,
    ) -> None:
        super().__init__(out)
        self._enrollments, self._exchange, self._hub_name = enrollments, exchange, hub_name
        self._id, self._grant = registration_id, grant
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscribed = self._ended = False
        self._done: Device | None = None

    def end(self) -> None:
        """What is under way goes on; nobody is told."""
        self._ended = True

    def subscribe(self, packet: Subscribe) -> None:
        if [text for text, _ in packet.filters] != [RESPONSES]:
            raise ProtocolError(f"provisioning: expected a subscription to {RESPONSES} only")
        self._subscribed = True
        self._outlet.send(Suback(packet.packet_id, (min(packet.filters[0][1], 1),)))

    def take_request(self, packet: Publish) -> None:
        """Register, once a connection, or tell how that went. Raises ProtocolError for another topic."""
        request = parse_request(packet.topic)
        if len(self._tasks) >= 2:
            raise ProtocolError("provisioning: expected to wait for the answer")
        task = asyncio.create_task(self._answer(request.rid, request.operation), name="provisioning")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, rid: str, operation: str) -> None:
        """Devices ask again until they are told `assigned`; that they are is so before the first answer."""
        try:
            if operation and self._done is None and operation != self._operation:
                raise NotFound("the operation is not known here")
            device = self._done = self._done or await self._register()
        except (IsletError, OSError) as error:
            status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 503)
            _log.info("registration_failed", status=status, reason=str(error))
            self._say(response_topic(status, rid), self._problem(status, str(error)))
        except Exception:
            _log.exception("registration_failed")
            self._say(response_topic(503, rid), self._problem(503, "try again later"))
        else:
            if operation:
                self._say(response_topic(200, rid), self._state(device))
            else:
                self._say(response_topic(202, rid, _POLL_S), {"operationId": self._operation, "status": "assigning"})

    @property
    def _operation(self) -> str:
        """A name of the registration that is the same on each connection."""
        return f"4.{self._id}"

    async def _register(self) -> Device:
        device, is_new = await asyncio.to_thread(self._enrollments.register, self._grant)
        first = self._grant.enrollment
        if is_new and (first.tags or first.desired):
            wanted = ServiceTwin(tags=first.tags, desired=first.desired)
            await self._exchange.change_twin(Address(device.id, device.generation_id), wanted)
        _log.info("registered", device=device.id, enrollment=self._grant.enrollment_id, new=is_new)
        return device

    def _state(self, device: Device) -> JsonObject:
        return {
            "operationId": self._operation,
            "status": "assigned",
            "registrationState": {
                "registrationId": self._id,
                "createdDateTimeUtc": iso(device.created_us),
                "assignedHub": self._hub_name,
                "deviceId": device.id,
                "status": "assigned",
                "substatus": "initialAssignment",
                "lastUpdatedDateTimeUtc": iso(self._exchange.wall_now()),
                "etag": device.etag,
            },
        }

    def _problem(self, status: int, message: str) -> JsonObject:
        return {
            "errorCode": status * 1000,
            "trackingId": secrets.token_hex(16),
            "message": message,
            "timestampUtc": iso(self._exchange.wall_now()),
        }

    def _say(self, topic: str, body: JsonObject) -> None:
        if self._subscribed and not self._ended:
            self._outlet.send(Publish(topic, msgspec.json.encode(body)))


_STATUS: Final[dict[type[IsletError], int]] = {BadInput: 400, NotFound: 404, AlreadyExists: 409}
