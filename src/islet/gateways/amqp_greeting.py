"""SASL with one AMQP peer, from the server's side."""

from collections.abc import Callable

from islet.decode.amqp_sasl import SaslServer
from islet.errors import AccessDenied
from islet.gateways.amqp_messages import text


class Greeting:
    """Only PLAIN brings a credential, which `take` is given (it raises AccessDenied for one that is not good); with the
    others it comes later, or came with the certificate."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take, self._sasl = take, SaslServer()
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
                self._take(text(self._sasl.response.rpartition(b"\0")[2]))
        except AccessDenied:
            return False
        return True
