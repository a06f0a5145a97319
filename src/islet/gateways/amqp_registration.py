"""Devices that register themselves over AMQP, as at the Device Provisioning Service: a pair of links at
`{ID scope}/registrations/{registration id}`.

Source: azure-iot-sdk-node, provisioning/transport/amqp (1.9), as it writes and reads them.
"""

from collections.abc import Callable
from typing import Final, cast

import msgspec
import structlog
from proton import Condition, Delivery, Link, Message, Receiver, Sender

from islet.access.sas import parse_token, resource_of
from islet.access.x509 import PeerCertificate
from islet.decode.iothub_dps import Registrant, parse_resource
from islet.decode.iothub_twins import JsonObject
from islet.errors import AccessDenied, BadInput, IsletError, NotFound
from islet.gateways.amqp_links import Incoming, Line, Outgoing
from islet.gateways.amqp_messages import data_message, read_properties
from islet.gateways.enrollments import Grant
from islet.gateways.registering import POLL_S, Registrar, assigning, status_of
from islet.gateways.under_way import UnderWay

_REGISTER: Final = "iotdps-register"
_STATUS: Final = "iotdps-get-operationstatus"
_MOST_UNDER_WAY: Final = 2
_CONDITIONS: Final = {400: "amqp:invalid-field", 404: "amqp:not-found", 409: "amqp:not-allowed"}
_OURS: Final = "amqp:internal-error"
_log = structlog.get_logger("islet.gateways.amqp")


class Registrations:
    """Those of one connection. What proves who it is is looked at with every link and every request."""

    def __init__(self, line: Line, registrar: Registrar | None, peer: Callable[[], PeerCertificate | None]) -> None:
        self._line, self._registrar, self._peer = line, registrar, peer
        self._token = ""
        self._answers: dict[Registrant, Outgoing] = {}

    def take(self, token: str) -> bool:
        """Whether a token is of one who wants to register; then it is kept. Raises AccessDenied."""
        registrant = parse_resource(resource_of(parse_token(token)))
        if registrant is None:
            return False
        self._token = token
        self._admitted(registrant)
        return True

    def link(self, link: Link, registrant: Registrant) -> Incoming | Outgoing:
        """The handler of a link. Raises AccessDenied."""
        self._admitted(registrant)
        if isinstance(link, Receiver):
            return _Requests(link, self._line, self, registrant)
        answers = self._answers[registrant] = Outgoing(cast(Sender, link), self._line)
        return answers

    async def register(self, registrant: Registrant) -> JsonObject:
        """Raises AccessDenied, BadInput and AlreadyExists."""
        registrar, grant = self._admitted(registrant)
        await registrar.register(grant)
        return assigning(registrant.id)

    async def operation(self, registrant: Registrant, operation: str) -> JsonObject:
        """Raises AccessDenied and NotFound."""
        registrar, grant = self._admitted(registrant)
        return registrar.assigned(registrant.id, await registrar.found(registrant.id, grant, operation))

    def answer(self, registrant: Registrant, message: Message) -> None:
        answers = self._answers.get(registrant)
        if answers is not None:
            answers.send(message)

    def _admitted(self, registrant: Registrant) -> tuple[Registrar, Grant]:
        """Raises AccessDenied."""
        if self._registrar is None:
            raise AccessDenied("nobody can register here")
        peer = None if self._token else self._peer()
        return self._registrar, self._registrar.enrollments.admit(registrant, self._token, peer)


class _Requests(Incoming):
    """Accepted: the answer follows on the other link. What cannot be done is rejected, with the reason."""

    def __init__(self, link: Receiver, line: Line, registrations: Registrations, registrant: Registrant) -> None:
        super().__init__(link, line)
        self._registrations, self._registrant = registrations, registrant
        self._under_way = UnderWay()

    def take(self, message: Message, delivery: Delivery) -> None:
        if len(self._under_way) >= _MOST_UNDER_WAY:
            raise BadInput("provisioning: expected to wait for the answer", reason="amqp")
        self._under_way.begin(self._do(message, delivery), "provisioning")

    async def _do(self, message: Message, delivery: Delivery) -> None:
        asked = read_properties(message)
        kind, registrant = asked.get("iotdps-operation-type", ""), self._registrant
        try:
            if kind == _REGISTER:
                body = await self._registrations.register(registrant)
            elif kind == _STATUS:
                body = await self._registrations.operation(registrant, asked.get("iotdps-operation-id", ""))
            else:
                raise NotFound(f"expected the operation {_REGISTER} or {_STATUS}")
        except AccessDenied as error:
            self.end(delivery, Delivery.REJECTED, Condition("amqp:unauthorized-access", str(error)))
        except (IsletError, OSError) as error:
            status = status_of(error)
            _log.info("registration_failed", status=status, reason=str(error))
            self.end(delivery, Delivery.REJECTED, Condition(_CONDITIONS.get(status, _OURS), str(error)))
        except Exception:
            _log.exception("registration_failed")
            self.end(delivery, Delivery.REJECTED, Condition(_OURS, "try again later"))
        else:
            self.end(delivery, Delivery.ACCEPTED)
            properties = {"iotdps-operation-type": kind, "retry-after": str(POLL_S)}
            answer = data_message(msgspec.json.encode(body), properties=properties)
            answer.correlation_id = message.correlation_id
            self._registrations.answer(registrant, answer)
