"""One device's connection with MQTT 5 (OASIS MQTT Version 5.0): the same as with 3.1.1, and why something is not done.

Who is let in is the same for all versions (`mqtt_line`). PUBACK means here, too, that the message is in the log; one that
became a dead letter is in the log and acknowledged as such, with a reason. A message that is not taken at all (a topic that
is not the device's) is refused by PUBACK with QoS 1; everything else that may not be ends the connection, with a reason.
"""

from typing import Final

from msgspec import structs

from islet.decode.device_messages import stamped
from islet.decode.iothub import Identity, parse_username
from islet.decode.iothub_dps import is_registrant, parse_registrant
from islet.decode.iothub_mqtt5 import message_properties
from islet.decode.mqtt import MAX_PACKET
from islet.decode.mqtt5 import MOST_ALIASES, Parser5
from islet.decode.mqtt5_codes import Code, Refused, code_of
from islet.decode.mqtt5_packets import (
    Connack5,
    Connect5,
    Disconnect5,
    Puback5,
    Publish5,
    Suback5,
    Will5,
    encode5,
)
from islet.decode.mqtt5_properties import NO_PROPERTIES, Properties, told
from islet.decode.mqtt_packets import (
    ACCEPTED,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Puback,
    Publish,
    Will,
    encode_puback,
)
from islet.decode.telemetry import Arrival
from islet.errors import ProtocolError
from islet.gateways.intake import Offered
from islet.gateways.mqtt5_session import Session5
from islet.gateways.mqtt_line import LONGEST_SILENCE_S, WINDOW, LastWill, Line, Server
from islet.gateways.mqtt_session import COMMAND_WINDOW, Session, Terms
from islet.gateways.mqtt_topics import telemetry_properties, will_properties

LONGEST_KEEP_ALIVE_S: Final = int(LONGEST_SILENCE_S / 1.5)
MOST_BYTES: Final = MAX_PACKET + 4
"""Of a packet with its fixed header (3.2.2.3.6)."""

LEAST_BYTES: Final = 64
"""That a device has to take: CONNACK, and acknowledgements without a reason."""

FOR_EVER: Final = 0xFFFF_FFFF
"""A session's expiry that never comes (3.1.2.11.2)."""

_NO_LIMIT: Final = 1 << 28
_OFFERED: Final = Properties(
    maximum_qos=1,
    maximum_packet_bytes=MOST_BYTES,
    topic_alias_maximum=MOST_ALIASES,
    shared_available=0,
)
"""What CONNACK says of this server (3.2.2.3).

No receive maximum: who sends faster than the log takes is not read, as with 3.1.1; told of one, paho sends all that it has
queued in spite of it, and gmqtt fails. Retained messages are not said to be refused: the flag is taken and has no effect,
as with 3.1.1, for nobody may subscribe to what devices send; and MQTT.js, refused for one, sends it for ever.
"""

_BYTES_PER_PROPERTY: Final = 200  # what one costs in memory beside its texts, about

_Ack = tuple[int, bytes]
"""Which of the offered arrivals it is of (-1: none), and PUBACK as it is unless that became a dead letter."""


class _Offer(Offered):
    """What came together."""

    def __init__(self, count: int, acks: list[_Ack]) -> None:
        self.count, self.acks = count, acks


class Connection5(Line):
    """Made when CONNECT has said that it is version 5."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._parser = Parser5()
        self._asked = NO_PROPERTIES  # in CONNECT
        self._keep_alive_s = 0
        self._assigned_id: str | None = None
        self._most_bytes = _NO_LIMIT
        self._said = NO_PROPERTIES  # by the last PUBLISH
        self._acks: list[_Ack] = []  # to go out with the next commit

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        try:
            for packet in self._parser.feed(data):
                if type(packet) is Publish5 and self._identity is not None:
                    self._take_publish(packet)
                else:
                    self._take(packet)
                if self._is_closed:
                    return
        except ProtocolError as error:
            if self._identity is None:
                self._refuse(code_of(error), str(error))
            else:
                self.close(str(error), code_of(error))
        finally:
            self._offer_arrived()

    # --- coming in ---

    def _take_connect(self, connect: Connect) -> None:
        assert isinstance(connect, Connect5)
        self._asked, self._keep_alive_s = connect.properties, connect.keep_alive_s
        self._most_bytes = connect.properties.maximum_packet_bytes or _NO_LIMIT
        if connect.properties.authentication_method is not None:  # 4.12
            raise Refused(Code.METHOD, "expected a token as password, or a certificate; no authentication method")
        if self._most_bytes < LEAST_BYTES:
            raise Refused(Code.TOO_LARGE, f"expected a largest packet of {LEAST_BYTES} bytes or more")
        if connect.will is not None and connect.will.qos > 1:  # [MQTT-3.2.2-12]
            raise Refused(Code.QOS, "will: expected QoS 0 or 1; QoS 2 is not served")
        if not connect.client_id:
            connect = self._named(connect)
        keep_alive_s = min(connect.keep_alive_s or LONGEST_KEEP_ALIVE_S, LONGEST_KEEP_ALIVE_S)
        super()._take_connect(structs.replace(connect, keep_alive_s=keep_alive_s))

    def _named(self, connect: Connect5) -> Connect5:
        """With the id that its user name says. It is the server that has assigned it, and no session had it before: an
        earlier one ends [MQTT-3.1.3-6], [MQTT-3.2.2-16]."""
        username = connect.username or ""
        try:
            named = parse_registrant(username).id if is_registrant(username) else parse_username(username).client_id
        except ProtocolError as error:
            raise Refused(Code.NOT_AUTHORISED, str(error)) from None
        self._assigned_id = named
        return structs.replace(connect, client_id=named, clean_session=True)

    def _terms(self, connect: Connect) -> Terms:
        window = self._asked.receive_maximum or COMMAND_WINDOW
        return Terms(bool(self._asked.session_expiry_s), min(window, COMMAND_WINDOW))

    def _welcome(self, session_present: bool) -> None:
        """3.2. What is kept of a session, its few filters, has no end, whatever was asked for (3.2.2.3.2); commands wait
        as long as their sender has said, with a session or without."""
        expires_s = self._asked.session_expiry_s
        kept_s = FOR_EVER if isinstance(self._session, Session) else 0
        limited = self._keep_alive_s == 0 or self._keep_alive_s > LONGEST_KEEP_ALIVE_S
        properties = structs.replace(
            _OFFERED,
            session_expiry_s=kept_s if expires_s and expires_s != kept_s else None,
            server_keep_alive_s=LONGEST_KEEP_ALIVE_S if limited else None,  # [MQTT-3.2.2-21]
            assigned_client_id=self._assigned_id,
        )
        self.send(Connack5(ACCEPTED, session_present, properties))

    def _refusal(self, code: Code, reason: str) -> Connack:
        return Connack5(code, False, told(reason))

    # --- messages ---

    def _take_publish(self, packet: Publish5) -> None:
        try:
            self._take_message(packet)
        except ProtocolError as error:
            code = error.code if isinstance(error, Refused) else Code.TOPIC
            if not packet.packet_id:
                raise Refused(code, str(error)) from None
            self._acknowledge_in_turn(self._puback(packet.packet_id, code, str(error)))

    def _take_message(self, packet: Publish5) -> None:
        """Telemetry, or a request. Raises ProtocolError for a message that is neither."""
        if packet.topic is not self._topic or packet.properties is not self._said:
            if packet.topic.startswith(("$iothub/", "$dps/")):
                self._session.take_request(packet)
                if packet.packet_id:
                    self._acknowledge_in_turn(encode_puback(packet.packet_id))
                return
            self._read_properties(packet.topic, packet.properties)
            if self._has_asked_for_a_fault():
                if packet.packet_id:
                    self._acknowledge_in_turn(encode_puback(packet.packet_id))
                return
        if packet.packet_id:
            self._acks.append((len(self._arrived), encode_puback(packet.packet_id)))
        device = self.device
        self._arrived.append(Arrival(device.id, device.patient, packet.payload, self._properties))

    def _read_properties(self, topic: str, said: Properties) -> None:
        """Those of telemetry; messages with the same topic and properties share them. MQTT 5's win over the bag's."""
        self._topic = ""
        bag = telemetry_properties(topic, self._telemetry_topic, self._module)
        more = message_properties(said, self._server.authenticator.wall_now())
        self._properties = stamped({**bag, **more}, self._module) if more else bag
        self._beside_bytes += sum(
            len(one) + len(self._properties[one]) + _BYTES_PER_PROPERTY for one in self._properties
        )
        if said.message_expiry_s is None:  # else it is from now on, each time
            self._topic, self._said = topic, said

    def _offer_arrived(self) -> None:
        if not self._arrived:
            return
        arrived, self._arrived = self._arrived, []
        offer, self._acks = _Offer(len(arrived), self._acks), []
        beside, self._beside_bytes = self._beside_bytes, 0
        self._in_flight += len(arrived)
        if self._intake.offer_all(arrived, self._committed, offer, beside) or self._in_flight >= WINDOW:
            self._pause()

    # --- acknowledgements ---

    def _puback(self, packet_id: int, code: Code, reason: str) -> bytes:
        """3.4, with the reason where the device wants any and can read it ([MQTT-3.1.2-29], [MQTT-3.4.2-2])."""
        return self._fitting(Puback5(packet_id, code, told(reason)))

    def _acknowledge_in_turn(self, ack: bytes) -> None:
        """PUBACKs go out in the order of the PUBLISHes [MQTT-4.6.0-2]."""
        if self._in_flight or self._arrived:
            self._acks.append((-1, ack))
        else:
            self._transport.write(ack)

    def _committed(self, offer: _Offer, error: Exception | None) -> None:
        """The oldest messages in flight are in the log, or could not be put there."""
        if self._is_closed:
            return
        if error is not None:
            self.close("the log could not commit; send again what was not acknowledged", Code.OUR_FAULT)
            return
        self._in_flight -= offer.count
        refused = offer.refused
        acks = [self._dead(ack, refused[at]) if at in refused else ack for at, ack in offer.acks]
        if self._acks and not self._in_flight:
            acks += [ack for _, ack in self._acks]
            self._acks = []
        if acks:
            self._transport.write(b"".join(acks))
        if self._paused and self._in_flight <= WINDOW // 2:
            self._paused = False
            self._set_reading()

    def _dead(self, ack: bytes, wrong: str) -> bytes:
        """Of a message that is kept as a dead letter: a success, for it need not come again, with what was wrong."""
        return self._puback(int.from_bytes(ack[2:4], "big"), Code.SUCCESS, f"kept as a dead letter: {wrong}")

    # --- what goes out ---

    def send(self, packet: Packet) -> None:
        """A message that is larger than the device takes is not sent; a command among them is refused in its name
        ([MQTT-3.1.2-24], [MQTT-3.1.2-25])."""
        if self._is_closed:
            return
        data = self._fitting(packet)
        if len(data) <= self._most_bytes:
            self._transport.write(data)
        elif not isinstance(packet, Publish):
            self.close("the device takes no packet as large as an answer", Code.TOO_LARGE)
        elif packet.packet_id:
            self._session.acknowledged(Puback5(packet.packet_id, Code.TOO_LARGE))

    def _fitting(self, packet: Packet) -> bytes:
        """The packet's bytes, without its reason where that is not wanted or too long."""
        data = encode5(packet)
        is_unwanted = self._asked.request_problems == 0 and isinstance(packet, Puback | Suback5)
        if is_unwanted or (len(data) > self._most_bytes and not isinstance(packet, Publish)):
            properties = getattr(packet, "properties", NO_PROPERTIES)
            if properties.reason is not None:
                return encode5(structs.replace(packet, properties=structs.replace(properties, reason=None)))
        return data

    # --- the end ---

    def _goodbye(self, packet: Disconnect) -> None:
        """3.14. Only a normal one takes the last will back [MQTT-3.14.4-3]."""
        assert isinstance(packet, Disconnect5)
        expires_s = packet.properties.session_expiry_s
        if expires_s and not self._asked.session_expiry_s:  # 3.14.2.2.2
            raise Refused(Code.PROTOCOL_ERROR, "MQTT: expected no session expiry in DISCONNECT where CONNECT had none")
        if expires_s is not None:
            self._asked = structs.replace(self._asked, session_expiry_s=expires_s)
            if not expires_s and isinstance(self._session, Session5):
                self._session.forget()
        self.close("the device has said goodbye", Code.SUCCESS, will=packet.code != Code.SUCCESS)

    def _say_why(self, code: Code, reason: str) -> None:
        self._transport.write(self._fitting(Disconnect5(code, told(reason))))

    def _last_will(self, will: Will, identity: Identity) -> LastWill:
        """The delay ends with the session (3.1.3.2.2), as the device has asked for it."""
        said = will.properties if isinstance(will, Will5) else NO_PROPERTIES
        bag = will_properties(will, identity)
        more = message_properties(said, self._server.authenticator.wall_now())
        delay_s = min(said.will_delay_s or 0, self._asked.session_expiry_s or 0)
        return LastWill(will.payload, stamped({**bag, **more}, identity.module), float(delay_s))
