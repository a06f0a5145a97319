"""What one MQTT client gets that registers itself (the Device Provisioning Service's part of the listener)."""

import msgspec
import structlog

from islet.decode.iothub_dps import RESPONSES, parse_request, response_topic
from islet.decode.iothub_twins import JsonObject
from islet.decode.mqtt5_codes import Code, Refused
from islet.decode.mqtt_packets import Publish, Suback, Subscribe
from islet.errors import IsletError, NotFound, ProtocolError
from islet.gateways.enrollments import Grant
from islet.gateways.mqtt_session import Outlet, TelemetryOnly
from islet.gateways.registering import POLL_S, Registrar, assigning, operation_id, status_of
from islet.gateways.under_way import UnderWay
from islet.model.people import Device

_log = structlog.get_logger("islet.gateways.mqtt")


class Registration(TelemetryOnly):
    """The session of a connection that may register as `grant` says, and do nothing else."""

    def __init__(self, registrar: Registrar, registration_id: str, grant: Grant, out: Outlet) -> None:
        super().__init__(out)
        self._registrar, self._id, self._grant = registrar, registration_id, grant
        self._under_way = UnderWay()
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
        if len(self._under_way) >= 2:
            raise Refused(Code.QUOTA, "provisioning: expected to wait for the answer")
        self._under_way.begin(self._answer(request.rid, request.operation), "provisioning")

    async def _answer(self, rid: str, operation: str) -> None:
        try:
            if operation and self._done is None and operation != operation_id(self._id):
                raise NotFound("the operation is not known here")
            device = self._done = self._done or await self._registrar.register(self._grant)
        except (IsletError, OSError) as error:
            status = status_of(error)
            _log.info("registration_failed", status=status, reason=str(error))
            self._say(response_topic(status, rid), self._registrar.problem(status, str(error)))
        except Exception:
            _log.exception("registration_failed")
            self._say(response_topic(503, rid), self._registrar.problem(503, "try again later"))
        else:
            if operation:
                self._say(response_topic(200, rid), self._registrar.assigned(self._id, device))
            else:
                self._say(response_topic(202, rid, POLL_S), assigning(self._id))

    def _say(self, topic: str, body: JsonObject) -> None:
        if self._subscribed and not self._ended:
            self._outlet.send(Publish(topic, msgspec.json.encode(body)))
