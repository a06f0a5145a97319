"""Devices that register themselves over HTTPS, in the paths and the JSON of the Device Provisioning Service."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.decode.iothub_dps import Registrant, check_registrant
from islet.errors import BadInput, ProtocolError
from islet.gateways.client_certificates import peer_of
from islet.gateways.enrollments import Grant
from islet.gateways.http_body import read_body
from islet.gateways.registering import POLL_S, Registrar, assigning, operation_id


class RegistrationEndpoints:
    """Handlers; each checks the device's own credential, a key or a certificate that is enrolled."""

    def __init__(self, registrar: Registrar) -> None:
        self._registrar = registrar

    async def register(self, request: Request) -> Response:
        """202: the device asks for the operation's end, after a while."""
        registrant, grant = self._admitted(request)
        await read_body(request)  # what it says of itself is not looked at
        await self._registrar.register(grant)
        return JSONResponse(assigning(registrant.id), 202, {"Retry-After": str(POLL_S)})

    async def operation(self, request: Request) -> Response:
        """200 with the hub and the device's id; 404 for an operation that was never begun."""
        registrant, grant = self._admitted(request)
        device = await self._registrar.found(registrant.id, grant, request.path_params["operation"])
        return JSONResponse(self._registrar.assigned(registrant.id, device))

    async def state(self, request: Request) -> Response:
        """200 with what became of the device's registration; 404 where it has not registered."""
        registrant, grant = self._admitted(request)
        await read_body(request)
        device = await self._registrar.found(registrant.id, grant, operation_id(registrant.id))
        return JSONResponse(self._registrar.assigned(registrant.id, device)["registrationState"])

    def _admitted(self, request: Request) -> tuple[Registrant, Grant]:
        """Raises BadInput and AccessDenied."""
        try:
            registrant = check_registrant(request.path_params["scope"], request.path_params["id"])
        except ProtocolError as error:
            raise BadInput(str(error), reason="registration_id") from None
        token = request.headers.get("authorization", "")
        peer = None if token else peer_of(request.scope)
        return registrant, self._registrar.enrollments.admit(registrant, token, peer)
