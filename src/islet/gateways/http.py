"""The front door for HTTPS: IoT Hub's paths, and telemetry of devices."""

import base64
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from islet.decode.device_messages import stamped
from islet.decode.telemetry import Arrival
from islet.errors import BadInput
from islet.gateways.authenticate import Authenticator, TurnAway
from islet.gateways.blobs import BlobEndpoint
from islet.gateways.exchange import Exchange
from islet.gateways.http_answers import Crowded, Handler, endpoint
from islet.gateways.http_body import admitted, read_body
from islet.gateways.http_bulk import BulkEndpoint
from islet.gateways.http_claims import ClaimEndpoints
from islet.gateways.http_commands import DeviceCommands, ServiceCommands
from islet.gateways.http_configurations import Applied, ConfigurationEndpoints
from islet.gateways.http_digital_twins import DigitalTwinEndpoints
from islet.gateways.http_enrollments import EnrollmentEndpoints
from islet.gateways.http_files import FileEndpoints
from islet.gateways.http_intake import committed
from islet.gateways.http_jobs import JobEndpoints, Runner
from islet.gateways.http_modules import ModuleEndpoints
from islet.gateways.http_properties import read_properties
from islet.gateways.http_query import QueryEndpoint
from islet.gateways.http_registration import RegistrationEndpoints
from islet.gateways.http_registry import RegistryEndpoints
from islet.gateways.http_registry_jobs import RegistryJobEndpoints
from islet.gateways.http_twins import TwinEndpoints
from islet.gateways.intake import Intake
from islet.gateways.registering import Registrar
from islet.gateways.registry_files import RegistryFiles
from islet.model.foreign_json import parse
from islet.model.time import Now
from islet.store.base import EntryKind, Registry
from islet.store.device_file_rows import CONTAINER
from islet.store.device_files import DeviceFiles

BATCH_TYPE = "application/vnd.microsoft.iothub.json"


def routes(
    intake: Intake,
    authenticator: Authenticator,
    registry: Registry,
    now: Now,
    is_connected: Callable[[str], bool],
    exchange: Exchange | None = None,
    jobs: Runner | None = None,
    files: RegistryFiles | None = None,
    configurations: Applied | None = None,
    registrar: Registrar | None = None,
) -> list[Route]:
    """IoT Hub's paths for devices and services; `is_connected` is the MQTT server's.

    Made for the event loop that `intake` belongs to. What is not given is not served: without an exchange no commands,
    twins and methods, without `files` no export and import, without a `registrar` nobody registers themselves.
    """
    identities = RegistryEndpoints(authenticator, registry, now, is_connected, exchange)
    bulk = BulkEndpoint(authenticator, identities, exchange)
    claims = ClaimEndpoints(authenticator, registry)
    found: list[_Path] = [
        ("POST", "/devices/{id}/messages/events", DeviceEndpoints(intake, authenticator, exchange).post_events),
        *_registry_paths(identities),
        ("POST", "/devices", bulk.post),
        ("POST", "/claims", claims.create),
        ("POST", "/claims/redeem", claims.redeem),
    ]
    if exchange is not None:
        found += _exchange_paths(authenticator, registry, exchange)
        for kind in (EntryKind.ENROLLMENT, EntryKind.ENROLLMENT_GROUP):
            found += _enrollment_paths(EnrollmentEndpoints(authenticator, registry, now, kind))
    if registrar is not None:
        found += _registration_paths(RegistrationEndpoints(registrar))
    if exchange is not None and jobs is not None:
        found += _job_paths(JobEndpoints(authenticator, exchange, jobs))
    if configurations is not None:
        found += _configuration_paths(ConfigurationEndpoints(authenticator, registry, now, configurations))
    if files is not None:
        found += _file_paths(RegistryJobEndpoints(authenticator, registry, bulk, files))
    return _answered(found, now, authenticator.turned_away)


def upload_routes(authenticator: Authenticator, files: DeviceFiles, now: Now) -> list[Route]:
    """The paths on which devices announce files and write them."""
    announced = FileEndpoints(authenticator, files)
    found: list[_Path] = [
        ("POST", "/devices/{id}/files", announced.begin),
        ("GET", "/devices/{id}/files/{name:path}", announced.begin),  # IoT Hub's first way, still in its documentation
        ("POST", "/devices/{id}/files/notifications", announced.end),
        ("POST", "/devices/{id}/files/notifications/{correlation}", announced.end),
    ]
    blobs = Route(f"/{CONTAINER}/{{name:path}}", BlobEndpoint(authenticator, files).put, methods=["PUT"])
    return [*_answered(found, now, authenticator.turned_away), blobs]


_Path = tuple[str, str, Handler]
_CALLS: Final = ("/methods", "/commands/{name}")


def _answered(found: Sequence[_Path], now: Now, turned_away: TurnAway) -> list[Route]:
    answers = [
        (path, endpoint(handler, now, turned_away, numbered=path.endswith(_CALLS)), [method])
        for method, path, handler in found
    ]
    # some SDKs write the last slash, some do not
    return [Route(path + end, answer, methods=methods) for end in ("", "/") for path, answer, methods in answers]


def _registry_paths(identities: RegistryEndpoints) -> list[_Path]:
    return [
        ("PUT", "/devices/{id}", identities.put),
        ("GET", "/devices/{id}", identities.get),
        ("DELETE", "/devices/{id}", identities.delete),
        ("GET", "/devices", identities.list_devices),
        ("GET", "/statistics/devices", identities.device_statistics),
        ("GET", "/statistics/service", identities.service_statistics),
    ]


def _exchange_paths(authenticator: Authenticator, registry: Registry, exchange: Exchange) -> list[_Path]:
    own, commands = DeviceCommands(authenticator, exchange), ServiceCommands(authenticator, exchange)
    twins, modules = TwinEndpoints(authenticator, exchange), ModuleEndpoints(authenticator, exchange)
    query = QueryEndpoint(authenticator, registry, exchange)
    return [
        ("GET", "/devices/{id}/messages/{box}", own.receive),
        ("DELETE", "/devices/{id}/messages/{box}/{lock_token}", own.finish),
        ("POST", "/devices/{id}/messages/{box}/{lock_token}/abandon", own.abandon),
        ("POST", "/messages/{box}", commands.send),
        ("DELETE", "/devices/{id}/commands", commands.purge),
        ("GET", "/devices/{id}/commands/dead", commands.list_dead),
        ("POST", "/devices/{id}/commands/dead/{number}/resend", commands.resend),
        ("GET", "/messages/{box}/feedback", commands.feedback),
        ("DELETE", "/messages/{box}/feedback/{lock_token}", commands.complete_feedback),
        ("POST", "/messages/{box}/feedback/{lock_token}/abandon", commands.abandon_feedback),
        ("GET", "/devices/{id}/modules", modules.list_modules),
        ("PUT", "/devices/{id}/modules/{module}", modules.put),
        ("GET", "/devices/{id}/modules/{module}", modules.get),
        ("DELETE", "/devices/{id}/modules/{module}", modules.delete),
        ("POST", "/devices/query", query.query),
        *_twin_paths("/twins/{id}", twins),
        *_twin_paths("/twins/{id}/modules/{module}", twins),
        *_digital_twin_paths(DigitalTwinEndpoints(authenticator, exchange)),
    ]


def _digital_twin_paths(twins: DigitalTwinEndpoints) -> list[_Path]:
    return [
        ("GET", "/digitaltwins/{id}", twins.get),
        ("PATCH", "/digitaltwins/{id}", twins.patch),
        ("POST", "/digitaltwins/{id}/commands/{name}", twins.invoke),
        ("POST", "/digitaltwins/{id}/components/{part}/commands/{name}", twins.invoke),
    ]


def _job_paths(jobs: JobEndpoints) -> list[_Path]:
    return [
        ("GET", "/jobs/v2/query", jobs.query),
        ("PUT", "/jobs/v2/{id}", jobs.put),
        ("GET", "/jobs/v2/{id}", jobs.get),
        ("POST", "/jobs/v2/{id}/cancel", jobs.cancel),
    ]


def _configuration_paths(configurations: ConfigurationEndpoints) -> list[_Path]:
    return [
        ("POST", "/configurations/testQueries", configurations.test_queries),
        ("GET", "/configurations", configurations.list_all),
        ("GET", "/configurations/{id}", configurations.get),
        ("PUT", "/configurations/{id}", configurations.put),
        ("DELETE", "/configurations/{id}", configurations.delete),
    ]


def _file_paths(jobs: RegistryJobEndpoints) -> list[_Path]:
    return [
        ("POST", "/jobs/create", jobs.create),
        ("GET", "/jobs", jobs.list_jobs),
        ("GET", "/jobs/{id}", jobs.get),
        ("DELETE", "/jobs/{id}", jobs.cancel),
    ]


def _enrollment_paths(enrollments: EnrollmentEndpoints) -> list[_Path]:
    path = enrollments.path
    return [
        ("POST", f"{path}/query", enrollments.query),
        ("PUT", f"{path}/{{id}}", enrollments.put),
        ("GET", f"{path}/{{id}}", enrollments.get),
        ("DELETE", f"{path}/{{id}}", enrollments.delete),
        ("POST", f"{path}/{{id}}/attestationmechanism", enrollments.attestation),
    ]


def _registration_paths(registration: RegistrationEndpoints) -> list[_Path]:
    return [
        ("PUT", "/{scope}/registrations/{id}/register", registration.register),
        ("GET", "/{scope}/registrations/{id}/operations/{operation}", registration.operation),
        ("POST", "/{scope}/registrations/{id}", registration.state),
    ]


def _twin_paths(path: str, twins: TwinEndpoints) -> list[_Path]:
    return [
        ("GET", path, twins.get),
        ("PATCH", path, twins.patch),
        ("POST", path, twins.post),
        ("PUT", path, twins.put),
        ("POST", f"{path}/methods", twins.invoke),
    ]


class _Item(Struct):
    """One message of a batch."""

    body: str
    base64_encoded: bool = field(name="base64Encoded", default=True)
    properties: dict[str, str] = {}


class DeviceEndpoints:
    """What devices call; each handler checks the device's token itself."""

    def __init__(self, intake: Intake, authenticator: Authenticator, exchange: Exchange | None) -> None:
        self._intake = intake
        self._authenticator = authenticator
        self._exchange = exchange

    async def post_events(self, request: Request) -> Response:
        """204 once every message is in the log: as an event, or as a dead letter."""
        identity, device = admitted(self._authenticator, request)
        if self._exchange is not None:
            self._exchange.presence.heard(identity.client_id)
        if self._intake.crowded:
            raise Crowded("expected fewer messages at a time; try again in a second")
        content = await read_body(request)
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type == BATCH_TYPE:
            messages = [(_payload(item), read_properties(item.properties.items())) for item in _items(content)]
        else:
            messages = [(content, read_properties(request.headers.items()))]
        arrivals = [
            Arrival(device.id, device.patient, payload, stamped(properties, identity.module))
            for payload, properties in messages
        ]
        await committed(self._intake, arrivals)
        return Response(status_code=204)


def _items(content: bytes) -> list[_Item]:
    return parse(content, list[_Item], "batch")


def _payload(item: _Item) -> bytes:
    if not item.base64_encoded:
        return item.body.encode()
    try:
        return base64.b64decode(item.body, validate=True)
    except ValueError:
        raise BadInput("batch: expected base64 in each body", reason="schema") from None
