"""Messages as signed POSTs (Standard Webhooks 1.0, standardwebhooks.com): for programs that act on alerts."""

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from islet.errors import SettingError
from islet.model.time import SECOND_US, iso
from islet.notify.base import Delivered, Failed, Gone, Message, Outcome, RetryAfter
from islet.notify.guard import GuardedClient, NoAnswer, Refused

_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = range(24, 65)  # the specification's bounds


class WebhookNotifier:
    """One address. `secrets`: `whsec_` and base64 of 24 to 64 bytes; while one is exchanged for another there are
    two, and every message is signed with both. `recipient` names it, for the address may hold a secret."""

    name: Final = "webhook"

    def __init__(self, url: str, secrets: Sequence[str], recipient: str, client: GuardedClient) -> None:
        if not secrets:
            raise SettingError("webhook: expected a signing secret (whsec_…)")
        self._url, self.recipient, self._client = url, recipient, client
        self._keys = [key_of(secret) for secret in secrets]

    def send(self, message: Message, now_us: int) -> Outcome:
        """One call. The `webhook-id` is the same when a message is sent again: the other side drops the second."""
        body = _body(message, now_us)
        id = "msg_" + sha256(message.id.encode()).hexdigest()[:32]
        headers = {"Content-Type": "application/json", **signed(self._keys, id, now_us // SECOND_US, body)}
        try:
            answer = self._client.post(self._url, body, headers)
        except Refused as refused:
            return Failed(f"webhook: {refused}")
        except NoAnswer as error:
            return RetryAfter(0, f"webhook: no answer ({error})")
        if 200 <= answer.status < 300:
            return Delivered()
        if answer.status == 410:
            return Gone("webhook: 410, the other side wants no more messages")
        asked_s = answer.retry_after_s(now_us) if answer.status in (429, 503) else 0.0
        return RetryAfter(asked_s, f"webhook: status {answer.status}")


def signed(keys: Sequence[bytes], id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers of the specification."""
    content = f"{id}.{at_s}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def key_of(secret: str) -> bytes:
    """The bytes of a secret. Raises SettingError, which does not hold it."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) not in _SECRET_BYTES:
        raise SettingError("webhook: expected a secret of whsec_ and base64 of 24 to 64 bytes")
    return key


def _body(message: Message, now_us: int) -> bytes:
    data = {
        "alert": message.alert,
        "urgent": message.urgent,
        "title": message.title,
        "text": message.text,
        "acknowledge_url": message.acknowledge_url,
    }
    return json.dumps({"type": f"alert.{message.kind}", "timestamp": iso(now_us), "data": data}).encode()
