"""What a peer on one AMQP connection has shown to prove who it is: tokens, and perhaps a certificate."""

from collections.abc import Callable
from typing import Final

from islet.access.decide import EVERYBODY, Action
from islet.access.sas import parse_token, resource_of
from islet.access.x509 import PeerCertificate
from islet.decode.event_hub import ELSEWHERE, ENTITY
from islet.decode.iothub import Identity
from islet.decode.iothub_amqp import parse_resource
from islet.errors import AccessDenied
from islet.gateways.authenticate import Authenticator
from islet.model.people import Device

CREDENTIAL_WITHIN_S: Final = 60.0
"""After that, who has not shown who they are need not stay."""

_MOST_TOKENS: Final = 1000
_MOST_LINKS: Final = 1000
_MOST_STRANGERS_LINKS: Final = 16
"""Of one who has shown no credential: two are for tokens, and a client may try some others."""


class Credentials:
    """One token for each resource, the last that was put. `peer` gives the certificate."""

    def __init__(self, authenticator: Authenticator, peer: Callable[[], PeerCertificate | None]) -> None:
        self._authenticator, self._peer = authenticator, peer
        self._tokens: dict[str, str] = {}
        self._services: dict[str, str] = {}

    def put(self, token: str) -> Identity | None:
        """Keep a token that is good now; whose it is (None: the hub's). Raises AccessDenied."""
        resource = resource_of(parse_token(token))
        identity = parse_resource(resource)
        if identity is None:
            self._authenticator.admit_service(resource.partition("/")[2], token)
        else:
            self._authenticator.admit_device(identity, token)
        if resource not in self._tokens and len(self._tokens) >= _MOST_TOKENS:
            raise AccessDenied(f"expected at most {_MOST_TOKENS} tokens on a connection")
        self._tokens[resource] = token
        return identity

    @property
    def are_there(self) -> bool:
        """Whether a token was put that was good, or a certificate shown."""
        try:
            return bool(self._tokens) or self._peer() is not None
        except AccessDenied:
            return False

    @property
    def most_links(self) -> int:
        return _MOST_LINKS if self.are_there else _MOST_STRANGERS_LINKS

    def admit(self, identity: Identity) -> tuple[Device, int]:
        """The device, and when the last credential for it expires (µs). Raises AccessDenied."""
        found: tuple[Device, int] | None = None
        for resource, token in self._tokens.items():
            named = parse_resource(resource)
            if named is not None and named.device != identity.device:
                continue
            try:
                device, admission = self._authenticator.admit_device(identity, token)
            except AccessDenied:
                continue
            if found is None or admission.expires_us > found[1]:
                found = device, admission.expires_us
        if found is None:
            peer = self._peer()
            if peer is None:
                raise AccessDenied("no token that is good for this device now was put")
            device, admission = self._authenticator.admit_device(identity, "", peer)
            found = device, admission.expires_us
        return found

    def check_service(self, path: str) -> int:
        """When the last token for that endpoint expires (µs). Raises AccessDenied."""
        latest_us = 0
        for token in self._tokens.values():
            expires_us = parse_token(token).expires_us
            if expires_us > latest_us and (by := self._service(path, token)):
                latest_us, self._services[path] = expires_us, by
        if not latest_us:
            raise AccessDenied("no token for this address was put that grants ServiceConnect")
        return latest_us

    def service(self, path: str) -> str:
        """The hub policy that was let in at that endpoint when it was looked at last, for the audit trail."""
        return self._services[path]

    def sees(self, path: str, patient: str) -> bool:
        """Whether one of the tokens allows to read what the devices of that patient send ("": of nobody)."""
        return any(self._allows(path, token, patient or EVERYBODY) for token in self._tokens.values())

    def _service(self, path: str, token: str) -> str:
        """The hub policy of a token that is good there; "" where it is not."""
        try:
            return self._authenticator.check(path, token, _action(path))
        except AccessDenied:
            return ""

    def _allows(self, path: str, token: str, patient: str | None) -> bool:
        try:
            return self._authenticator.decide(path, token, _action(path), patient).allowed
        except AccessDenied:
            return False


def _action(path: str) -> Action:
    return Action.CONSUME_LOG if path.startswith((f"{ENTITY}/", f"{ELSEWHERE}/")) else Action.COMMAND_DEVICES
