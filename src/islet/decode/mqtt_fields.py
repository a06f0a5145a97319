"""What packets of MQTT are made of, read from the front, and written (OASIS MQTT 3.1.1, 1.5; MQTT 5.0, 1.5)."""

from islet.errors import ProtocolError


class Fields:
    """A packet's body, read from the front. `at` is how far."""

    def __init__(self, body: bytes, at: int = 0) -> None:
        self._body = body
        self.at = at

    def byte(self) -> int:
        return self._take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self._take(2), "big")

    def long_number(self) -> int:
        """Four bytes."""
        return int.from_bytes(self._take(4), "big")

    def length(self) -> int:
        """A number of one to four bytes of seven bits, the lowest first (MQTT 5.0, 1.5.5)."""
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                if not byte and shift > 7:  # [MQTT-1.5.5-1]
                    raise ProtocolError("MQTT: expected a length in as few bytes as it needs")
                return number
            if shift == 28:
                raise ProtocolError("MQTT: expected a length of at most four bytes")

    def blob(self) -> bytes:
        return self._take(self.number())

    def text(self) -> str:
        try:
            text = self.blob().decode()  # strict: refuses surrogates too [MQTT-1.5.3-1]
        except UnicodeDecodeError:
            raise ProtocolError("MQTT: expected text in UTF-8") from None
        if "\0" in text:  # [MQTT-1.5.3-2]
            raise ProtocolError("MQTT: expected text without U+0000")
        return text

    def packet_id(self) -> int:
        number = self.number()
        if not number:  # [MQTT-2.3.1-1]
            raise ProtocolError("MQTT: expected a packet identifier above 0")
        return number

    def part(self, count: int) -> "Fields":
        """The next bytes, to be read by themselves."""
        return Fields(self._take(count))

    @property
    def more(self) -> bool:
        return self.at < len(self._body)

    def rest(self) -> bytes:
        return self._take(len(self._body) - self.at)

    def _take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > len(self._body):
            raise ProtocolError("MQTT: expected more bytes; the packet ends within a field")
        return self._body[start : self.at]


def packet_bytes(first: int, body: bytes) -> bytes:
    """Fixed header (2.2) and body. Raises ValueError for 256 MiB and more."""
    length = len(body)
    return bytes((first, length)) + body if length < 128 else bytes((first,)) + length_bytes(length) + body


def length_bytes(length: int) -> bytes:
    """In groups of seven bits, the lowest first. Raises ValueError for 2^28 and more."""
    if not 0 <= length < 1 << 28:
        raise ValueError("MQTT: a packet holds less than 256 MiB")
    written = bytearray()
    while length > 127:
        written.append(length & 127 | 128)
        length >>= 7
    written.append(length)
    return bytes(written)


def blob_bytes(data: bytes) -> bytes:
    """Raises ValueError for more than a length of two bytes can say."""
    if len(data) > 0xFFFF:
        raise ValueError("MQTT: a text holds at most 65,535 bytes")
    return len(data).to_bytes(2, "big") + data


def text_bytes(text: str) -> bytes:
    return blob_bytes(text.encode())


def number_bytes(number: int) -> bytes:
    """Two bytes. Raises ValueError where it does not fit."""
    if not 0 <= number <= 0xFFFF:
        raise ValueError("MQTT: expected a number that fits two bytes")
    return number.to_bytes(2, "big")
