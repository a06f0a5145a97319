"""One device's connection with MQTT 3.1.1: takes its telemetry, and acknowledges what the log has committed.

Who is let in is the same for all versions (`mqtt_line`); what services send to the device is its session's
(`mqtt_session`).
"""

from typing import Final

from islet.decode.mqtt import Parser, UnacceptableLevel
from islet.decode.mqtt5 import LEVEL
from islet.decode.mqtt5_codes import Code
from islet.decode.mqtt_packets import (
    ACCEPTED,
    IDENTIFIER_REJECTED,
    NOT_AUTHORISED,
    PUBACK,
    UNACCEPTABLE_LEVEL,
    UNAVAILABLE,
    Connack,
    Packet,
    Publish,
    encode,
    encode_puback,
)
from islet.decode.telemetry import Arrival
from islet.errors import ProtocolError
from islet.gateways.mqtt_line import WINDOW, Line, Server
from islet.gateways.mqtt_topics import telemetry_properties

_CODES: Final = {
    Code.LEVEL: UNACCEPTABLE_LEVEL,
    Code.CLIENT_ID: IDENTIFIER_REJECTED,
    Code.BUSY: UNAVAILABLE,
    Code.UNAVAILABLE: UNAVAILABLE,
    Code.NOT_AUTHORISED: NOT_AUTHORISED,
}
"""What CONNACK of 3.1.1 says for what MQTT 5 would say (table 3.1)."""


class Connection(Line):
    """Any violation closes this connection only; MQTT 3.1.1 has no other way to say no after CONNECT."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._parser = Parser()
        self._is_telemetry = False  # the last PUBLISH was
        self._acks = b""  # to go out with the next commit
        self._told = self._committed  # made once, not for each message

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        if self._is_telemetry and (packet_id := self._parser.again(data)):
            device = self.device
            arrival = Arrival(device.id, device.patient, data[self._parser.payload], self._properties)
            self._in_flight += 1
            # No other PUBACK waits: behind a request, whose topic is another, a reading is for `feed`.
            offered = (1, PUBACK + packet_id)
            if self._intake.offer(arrival, self._told, offered) or self._in_flight >= WINDOW:
                self._pause()
            return
        try:
            for packet in self._parser.feed(data):
                if type(packet) is Publish and self._identity is not None:
                    self._take_publish(packet)
                else:
                    self._take(packet)
                if self._is_closed:
                    return
        except UnacceptableLevel as error:
            self._take_other_level(error)
        except ProtocolError as error:
            self.close(str(error))
        finally:
            self._offer_arrived()

    def _take_other_level(self, error: UnacceptableLevel) -> None:
        """CONNECT of MQTT 5 is for a connection of that version, and all that comes behind it."""
        if self._identity is not None:  # a second CONNECT [MQTT-3.1.0-2]
            self.close(str(error))
        elif error.level == LEVEL:
            self._is_closed = True  # for this object
            self._cancel(self._silence)
            self._server.handed_over(self, self._transport, error.unread)
        else:
            self._refuse(Code.LEVEL, str(error))

    # --- packets ---

    def _take_publish(self, packet: Publish) -> None:
        """The parser gives the very same text again while the topic stays, so most messages need no look at it."""
        if packet.topic is not self._topic:
            self._is_telemetry = False
            if packet.topic.startswith(("$iothub/", "$dps/")):
                self._session.take_request(packet)
                if packet.packet_id:
                    self._acknowledge_in_turn(packet.packet_id)
                return
            self._properties = telemetry_properties(packet.topic, self._telemetry_topic, self._module)
            if self._has_asked_for_a_fault():
                if packet.packet_id:
                    self._acknowledge_in_turn(packet.packet_id)
                return
            self._topic = packet.topic
            self._beside_bytes += len(packet.topic)  # messages of one topic share their properties
        self._is_telemetry = True
        device = self.device
        self._arrived.append(Arrival(device.id, device.patient, packet.payload, self._properties))
        if packet.packet_id:
            self._acks += encode_puback(packet.packet_id)

    def _offer_arrived(self) -> None:
        """What came together is offered together, and acknowledged by one write."""
        if not self._arrived:
            return
        arrived, self._arrived = self._arrived, []
        acks, self._acks = self._acks, b""
        beside, self._beside_bytes = self._beside_bytes, 0
        self._in_flight += len(arrived)
        if self._intake.offer_all(arrived, self._told, (len(arrived), acks), beside) or self._in_flight >= WINDOW:
            self._pause()

    # --- acknowledgements ---

    def _acknowledge_in_turn(self, packet_id: int) -> None:
        """PUBACKs go out in the order of the PUBLISHes [MQTT-4.6.0-2]."""
        if self._in_flight or self._arrived:
            self._acks += encode_puback(packet_id)
        else:
            self._transport.write(encode_puback(packet_id))

    def _committed(self, offered: tuple[int, bytes], error: Exception | None) -> None:
        """The oldest messages in flight, as many as were offered with these PUBACKs, are in the log, or could not be
        put there."""
        if self._is_closed:
            return
        if error is not None:
            self.close("the log could not commit")
            return
        count, acks = offered
        self._in_flight -= count
        if self._acks and not self._in_flight:
            acks, self._acks = acks + self._acks, b""
        if acks:
            self._transport.write(acks)
        if self._paused and self._in_flight <= WINDOW // 2:
            self._paused = False
            self._set_reading()

    def send(self, packet: Packet) -> None:
        if not self._is_closed:
            self._transport.write(encode(packet))

    def _welcome(self, session_present: bool) -> None:
        self.send(Connack(ACCEPTED, session_present))

    def _refusal(self, code: Code, reason: str) -> Connack:
        return Connack(_CODES[code])
