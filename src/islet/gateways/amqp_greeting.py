"""SASL with one AMQP peer, from the server's side."""

from collections.abc import Callable
from typing import Final

from islet.access.sas import is_key, make_token
from islet.decode.amqp_sasl import SaslServer
from islet.decode.event_hub import ENTITY
from islet.errors import AccessDenied
from islet.gateways.amqp_messages import text

_NEVER_S: Final = 253_402_300_799  # the end of the year 9999: a key does not expire, it is renewed


class Greeting:
    """Only PLAIN brings a credential, which `take` is given (it raises AccessDenied for one that is not good); with the
    others it comes later, or came with the certificate."""

    def __init__(self, take: Callable[[str], None], hub_name: str) -> None:
        self._take, self._hub_name, self._sasl = take, hub_name, SaslServer()
        self.refused = False

    @property
    def done(self) -> bool:
        return self._sasl.done

    def feed(self, data: bytes) -> bytes:
        """What came behind it, once it is done. Raises ProtocolError."""
        self._sasl.feed(data)
        if self._sasl.mechanism and not self._sasl.done:
            self.refused = not self._is_good()
            self._sasl.decide(admitted=not self.refused)
        return self._sasl.rest() if self._sasl.done else b""

    def answer(self) -> bytes:
        """What is to be sent; given once."""
        answer = bytes(self._sasl.outgoing)
        self._sasl.outgoing.clear()
        return answer

    def _is_good(self) -> bool:
        try:
            if self._sasl.mechanism == "PLAIN":
                self._take(self._token())
        except AccessDenied:
            return False
        return True

    def _token(self) -> str:
        """The password. As at Event Hubs it may be a key, with the name of its policy, which is good for what is there."""
        front, _, password = text(self._sasl.response).rpartition("\0")
        if not is_key(password):
            return password
        return make_token(f"{self._hub_name}/{ENTITY}", password, _NEVER_S, front.rpartition("\0")[2])
