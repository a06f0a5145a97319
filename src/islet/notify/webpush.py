"""Messages to browsers (Web Push, RFC 8030, encrypted by RFC 8291, signed by RFC 8292), with pywebpush.

The push service sees neither title nor text. A subscription's endpoint is entered by a browser, so it is called
through the guard.
"""

import base64
import json
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from islet.errors import SettingError
from islet.model.time import SECOND_US
from islet.notify.base import ANNOUNCEMENTS, Delivered, Failed, Gone, Message, Outcome, RetryAfter
from islet.notify.guard import GuardedClient, NoAnswer, Refused

SECRET_NAME: Final = "webpush_vapid_key"  # noqa: S105  # under which the key is kept
TTL_S: Final = 30 * 60  # as old as a fact may be that somebody is paged for
_TOKEN_S: Final = 12 * 3600  # RFC 8292: at most 24 h
_MAX_TEXT_BYTES: Final = 3_000  # push services take bodies of 4096 bytes
_PERMANENT: Final = {
    400: "webpush: 400, the push service refuses the message",
    401: "webpush: 401, the push service refuses our key",
    403: "webpush: 403, the subscription was made with another key; subscribe again",
    413: "webpush: 413, the message is too long",
}
_NOT_INSTALLED: Final = "webpush: expected pywebpush to be installed (islet[webpush])"


class Secrets(Protocol):
    """Where secrets of the installation are kept, encrypted (the registry)."""

    def secret(self, name: str) -> str | None: ...
    def put_secret(self, name: str, value: str) -> None: ...


class VapidKey(NamedTuple):
    """Who we are to push services: `public` is what a browser subscribes with (`applicationServerKey`)."""

    private: str
    public: str


def vapid_key(secrets: Secrets) -> VapidKey:
    """The installation's key, made and kept at first use. With another key, every browser has to subscribe anew."""
    private = secrets.secret(SECRET_NAME)
    if private is None:
        secrets.put_secret(SECRET_NAME, _new_private())
        private = secrets.secret(SECRET_NAME) or ""  # another process may have been quicker
    return VapidKey(private, _public(private))


class WebPushNotifier:
    """One browser. `subscription`: the JSON of its PushSubscription. `recipient` names it: an endpoint is a
    capability. `contact`: `mailto:` or https, where a push service can reach the operator."""

    name: Final = "webpush"

    def __init__(
        self,
        subscription: str,
        recipient: str,
        client: GuardedClient,
        *,
        key: VapidKey,
        contact: str,
        button: str = "Acknowledge",
    ) -> None:
        self._button = button
        self.recipient, self._client, self._key, self._contact = recipient, client, key, contact
        self._endpoint, self._encrypted = _subscribed(subscription)

    def send(self, message: Message, now_us: int) -> Outcome:
        """One call. A browser that comes back late gets only the newest message of each alert (Topic)."""
        headers = {
            "TTL": str(TTL_S),
            "Urgency": "high" if message.kind in ANNOUNCEMENTS else "normal",
            "Topic": topic_of(message.alert),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": _authorization(self._key, self._contact, _origin(self._endpoint), now_us),
        }
        try:
            answer = self._client.post(self._endpoint, self._encrypted(_payload(message, self._button)), headers)
        except Refused as refused:
            return Failed(f"webpush: {refused}")
        except NoAnswer as error:
            return RetryAfter(0, f"webpush: no answer ({error})")
        if answer.status in (200, 201, 202, 204):
            return Delivered(answer.headers.get("location", "")[-64:])
        if answer.status in (404, 410):
            return Gone(f"webpush: {answer.status}, the browser has unsubscribed")
        if answer.status in _PERMANENT:
            return Failed(_PERMANENT[answer.status])
        asked_s = answer.retry_after_s(now_us) if answer.status in (429, 503) else 0.0
        return RetryAfter(asked_s, f"webpush: status {answer.status}")


def topic_of(alert: str) -> str:
    """A word of 32 characters that stays the same for an alert and says nothing of it; also the notification's tag."""
    return base64.urlsafe_b64encode(sha256(alert.encode()).digest()[:24]).decode()


def _payload(message: Message, button: str) -> bytes:
    text = message.text.encode()[:_MAX_TEXT_BYTES].decode(errors="ignore")
    return json.dumps(
        {
            "title": message.title[:200],
            "text": text,
            "tag": topic_of(message.alert),
            "kind": message.kind,
            "urgent": message.urgent,
            "silent": message.kind not in ANNOUNCEMENTS,
            "token": message.token,
            "button": button,
        },
        ensure_ascii=False,
    ).encode()


def _origin(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}"


# pywebpush, loaded when it is needed


def _subscribed(subscription: str) -> tuple[str, Callable[[bytes], bytes]]:
    """The endpoint, and the function that encrypts for this browser. Raises SettingError, which holds neither."""
    try:
        from pywebpush import WebPusher, WebPushException
    except ImportError:
        raise SettingError(_NOT_INSTALLED) from None
    try:
        given = json.loads(subscription)
        pusher = WebPusher(given)
        endpoint = str(given["endpoint"])
        pusher.encode(b"{}")  # a key that is not on the curve shows here
    except (ValueError, TypeError, KeyError, IndexError, WebPushException):
        raise SettingError("webpush: expected the JSON of a PushSubscription with endpoint and keys") from None

    def encrypted(body: bytes) -> bytes:
        return bytes(pusher.encode(body)["body"])

    return endpoint, encrypted


def _vapid(private: str | None) -> Any:
    try:
        from py_vapid import Vapid02
    except ImportError:
        raise SettingError(_NOT_INSTALLED) from None
    if private is not None:
        return Vapid02.from_raw(private.encode())
    made = Vapid02()
    made.generate_keys()
    return made


def _new_private() -> str:
    number = _vapid(None).private_key.private_numbers().private_value
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


def _public(private: str) -> str:
    numbers = _vapid(private).public_key.public_numbers()
    point = b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def _authorization(key: VapidKey, contact: str, origin: str, now_us: int) -> str:
    """Signed once per push service and half day: the elliptic curve is the dearest part of a message."""
    until_s = (now_us // SECOND_US // _TOKEN_S + 1) * _TOKEN_S + 600
    return _signed(key.private, contact, origin, until_s)


@lru_cache(maxsize=64)
def _signed(private: str, contact: str, origin: str, until_s: int) -> str:
    claims = {"aud": origin, "sub": contact, "exp": until_s}
    return str(_vapid(private).sign(claims)["Authorization"])
