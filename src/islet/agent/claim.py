"""How a device gets its credentials: by a claim code that a person was given, once."""

import http.client
import json
import ssl
from typing import Final
from urllib.parse import urlsplit

from islet.access.sas import ConnectionString, is_key
from islet.agent.mqtt_client import trouble
from islet.errors import AccessDenied, IsletError

CLAIM_PATH: Final = "/claims/redeem?api-version=2021-04-12"
_ANSWERS_WITHIN_S: Final = 30.0
_MOST_BYTES: Final = 16_384


def redeem(url: str, code: str, pseudonym: str, tls: ssl.SSLContext | None) -> ConnectionString:
    """The credentials for a claim code, at the platform's address (https://host:port). `pseudonym` names the patient
    where the code does not. Raises AccessDenied for a code that is wrong, used or too old, IsletError otherwise."""
    scheme, host, port = _address(url)
    connection: http.client.HTTPConnection
    if scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=_ANSWERS_WITHIN_S, context=tls)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_ANSWERS_WITHIN_S)
    try:
        body = json.dumps({"code": code, "pseudonym": pseudonym})
        connection.request("POST", CLAIM_PATH, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise IsletError(f"platform: expected an answer at {url}; got {trouble(error)}") from None
    finally:
        connection.close()
    return _credentials(answer.status, content)


def _address(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port (None: the usual one). Raises IsletError."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("https", "http") and parts.hostname:
            return parts.scheme, parts.hostname, parts.port
    except ValueError:
        pass
    raise IsletError("platform: expected an address such as https://islet.example:8443")


def _credentials(status: int, content: bytes) -> ConnectionString:
    if status == 401:
        raise AccessDenied("the claim code is wrong, was used, or is too old; ask for another one")
    if status == 429:
        raise AccessDenied("too many claim codes were tried; wait a minute")
    try:
        answer = json.loads(content) if status == 200 else {}
        found = ConnectionString(host=answer["hostName"], device=answer["deviceId"], key=answer["primaryKey"])
    except (ValueError, KeyError, TypeError):
        raise IsletError(f"platform: expected the device's credentials; got status {status}") from None
    if not is_key(found.key):
        raise IsletError("platform: expected a key in base64")
    return found
