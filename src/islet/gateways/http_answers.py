"""Answers in IoT Hub's form: errors with a code word, and a device as JSON."""

import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from islet.decode.iothub import is_api_version
from islet.errors import AccessDenied, AlreadyExists, BadInput, IsletError, NotFound
from islet.gateways.authenticate import TurnAway
from islet.gateways.presence import NoAnswer, NotOnline
from islet.model.people import Device
from islet.model.time import Now, iso
from islet.store.device_file_rows import FileQuota
from islet.store.devices_base import Activity, EtagDiffers, LockLost, MailboxFull
from islet.store.turned_away import REQUEST

NEVER = "0001-01-01T00:00:00Z"
_log = structlog.get_logger("islet.gateways.http")
Handler = Callable[[Request], Awaitable[Response]]


class PreconditionFailed(IsletError):
    """If-Match names another version than the one that is here."""


class ConfigurationNotFound(NotFound):
    """No configuration has this id."""


class ModuleNotFound(NotFound):
    """No module of the device has this id."""


class TooLarge(IsletError):
    """A body is larger than a message may be."""


class UnknownCoding(IsletError):
    """A body is compressed in a way that is not read here."""


class Crowded(IsletError):
    """More waits for the log than is held in memory; the caller may try again soon."""


class NotCommitted(IsletError):
    """The disk could not take it; nothing was acknowledged."""


_STATUS_AND_CODE: dict[type[IsletError], tuple[int, str]] = {
    BadInput: (400, "ArgumentInvalid"),
    AccessDenied: (401, "IotHubUnauthorizedAccess"),
    FileQuota: (403, "DeviceMaximumActiveFileUploadLimitExceeded"),
    MailboxFull: (403, "DeviceMaximumQueueDepthExceeded"),
    NotOnline: (404, "DeviceNotOnline"),
    ConfigurationNotFound: (404, "ConfigurationNotFound"),
    ModuleNotFound: (404, "ModuleNotFound"),
    NotFound: (404, "DeviceNotFound"),
    AlreadyExists: (409, "DeviceAlreadyExists"),
    PreconditionFailed: (412, "PreconditionFailed"),
    EtagDiffers: (412, "PreconditionFailed"),
    LockLost: (412, "DeviceMessageLockLost"),
    TooLarge: (413, "MessageTooLarge"),
    UnknownCoding: (415, "UnsupportedMediaType"),
    Crowded: (429, "ThrottlingException"),
    NotCommitted: (503, "ServiceUnavailable"),
    NoAnswer: (504, "GatewayTimeout"),
}
_NUMBERS: Final = {
    "ArgumentInvalid": 400004,
    "IotHubUnauthorizedAccess": 401002,
    "DeviceNotFound": 404001,
    "ModuleNotFound": 404010,
    "DeviceNotOnline": 404103,
    "MessageTooLarge": 413001,
    "GatewayTimeout": 504101,
}


REFUSALS = tuple(_STATUS_AND_CODE)
"""What an endpoint refuses with."""


def status_of(error: IsletError) -> int:
    """The status of one of REFUSALS."""
    return next(status for kind, (status, _) in _STATUS_AND_CODE.items() if isinstance(error, kind))


def endpoint(handler: Handler, now: Now, turned_away: TurnAway, *, numbered: bool = False) -> Handler:
    """The handler behind what all endpoints share: a mandatory api-version, and errors as IoT Hub writes them,
    `numbered` as it does where a device's method is called.

    Service SDKs repeat a call that is answered with 5xx, so the caller's faults are always 4xx and ours 503.
    """

    async def answer(request: Request) -> Response:
        try:
            if not is_api_version(request.query_params.get("api-version", "")):
                raise BadInput("api-version: expected a date in the query, such as 2021-04-12", reason="api_version")
            return await handler(request)
        except REFUSALS as error:
            if isinstance(error, AccessDenied):
                turned_away(REQUEST, request.path_params.get("id", ""), request.client.host if request.client else "")
            return _error(error, now(), numbered)
        except RecursionError:
            return _error(BadInput("body: expected less deeply nested JSON", reason="json"), now(), numbered)
        except OSError as error:  # the disk
            _log.error("request_failed", error=type(error).__name__, reason=str(error))
            return _error(NotCommitted("it could not be kept; try again later"), now(), numbered)

    return answer


def _error(error: IsletError, now_us: int, numbered: bool) -> Response:
    status, code = next(found for kind, found in _STATUS_AND_CODE.items() if isinstance(error, kind))
    tracking, at = secrets.token_hex(16), iso(now_us)
    body = {"Message": f"ErrorCode:{code};{error}", "ExceptionMessage": f"Tracking ID:{tracking}-TimeStamp:{at}"}
    if numbered and code in _NUMBERS:  # the SDK for Java tells by the number alone who is offline and who is not there
        told = {"errorCode": _NUMBERS[code], "trackingId": tracking, "message": str(error), "timestampUtc": at}
        body = {"Message": json.dumps(told), "ExceptionMessage": ""}
    headers = {"iothub-errorcode": code}
    if status == 429:
        headers["Retry-After"] = "1"
    return JSONResponse(body, status, headers)


def device_answer(device: Device, *, connected: bool, pending: int = 0, activity: Activity | None = None) -> Response:
    """One device, with its etag as a header as well."""
    body = device_json(device, connected=connected, pending=pending, activity=activity)
    return JSONResponse(body, headers={"ETag": f'"{device.etag}"'})


def changed_text(activity: Activity | None) -> str:
    """When it was last connected or disconnected."""
    return NEVER if activity is None or activity.changed_us is None else iso(activity.changed_us)


def seen_text(activity: Activity | None) -> str:
    """When it was last there."""
    return NEVER if activity is None else iso(activity.seen_us)


def thumbprints_json(device: Device) -> dict[str, str | None]:
    return {
        "primaryThumbprint": device.primary_thumbprint or None,
        "secondaryThumbprint": device.secondary_thumbprint or None,
    }


def device_json(
    device: Device, *, connected: bool, pending: int = 0, activity: Activity | None = None
) -> dict[str, object]:
    """A device as the registry API shows it; `patient` is ours."""
    return {
        "deviceId": device.id,
        "generationId": device.generation_id,
        "etag": device.etag,
        "connectionState": "Connected" if connected else "Disconnected",
        "status": "enabled" if device.enabled else "disabled",
        "statusReason": device.status_reason or None,
        "connectionStateUpdatedTime": changed_text(activity),
        "statusUpdatedTime": NEVER,
        "lastActivityTime": seen_text(activity),
        "cloudToDeviceMessageCount": pending,
        "authentication": {
            "symmetricKey": {"primaryKey": device.primary_key or None, "secondaryKey": device.secondary_key or None},
            "x509Thumbprint": thumbprints_json(device),
            "type": device.authentication,
        },
        "capabilities": {"iotEdge": device.edge},
        "deviceScope": device.scope or None,
        "parentScopes": [above] if (above := device.parent_scope if device.edge else device.scope) else [],
        "patient": device.patient,
    }
