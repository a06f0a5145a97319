"""A browser's side of Web Push: a subscription, and the key that opens what is sent to it."""

import base64
import json
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUTH = bytes(range(16))


class Browser(NamedTuple):
    key: ec.EllipticCurvePrivateKey
    subscription: str


def browser(endpoint: str) -> Browser:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = {"p256dh": base64url(public), "auth": base64url(AUTH)}
    return Browser(key, json.dumps({"endpoint": endpoint, "keys": keys}))


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class SecretsInMemory(dict[str, str]):
    def secret(self, name: str) -> str | None:
        return self.get(name)

    def put_secret(self, name: str, value: str) -> None:
        self[name] = value
