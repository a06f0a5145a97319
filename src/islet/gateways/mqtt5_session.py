"""What a client of MQTT 5 gets from services: the same as one of 3.1.1, with what version 5 can say beside it.

A filter's number in the kept session is its QoS, and above that bit the subscription identifier (0: none).
"""

from typing import Final

import structlog

from islet.decode.iothub_mqtt5 import command_properties
from islet.decode.mqtt5_codes import FAILURE, Code
from islet.decode.mqtt5_packets import Puback5, Publish5, Suback5, Subscribe5
from islet.decode.mqtt5_properties import NO_PROPERTIES, Properties
from islet.decode.mqtt_packets import Puback, Publish, Subscribe
from islet.gateways.mqtt_session import QOS, Session
from islet.store.devices_base import Letter

_REFUSED: Final = Properties(reason="expected one of the topic filters that IoT Hub has for this device")

_log = structlog.get_logger("islet.gateways.mqtt")


class Session5(Session):
    """As Session, for MQTT 5."""

    def forget(self) -> None:
        """The client does not want it kept any more (3.14.2.2.2)."""
        if self._keeps:
            self._keeps = False
            self._exchange.write(lambda: self._exchange.devices.delete_session(self._address))

    def subscribe(self, packet: Subscribe) -> None:
        """SUBACK once it is kept; a filter that IoT Hub does not have is refused by itself (3.9.3)."""
        identifiers = packet.properties.subscription_identifiers if isinstance(packet, Subscribe5) else ()
        above = identifiers[0] << QOS if identifiers else 0
        codes = tuple(self._code(text, qos) for text, qos in packet.filters)
        granted = {text: code | above for (text, _), code in zip(packet.filters, codes, strict=True) if code < FAILURE}
        properties = _REFUSED if len(granted) < len({text for text, _ in packet.filters}) else NO_PROPERTIES
        self._change_filters(self._filters | granted, Suback5(packet.packet_id, codes, properties))

    def _code(self, text: str, qos: int) -> int:
        if text.startswith("$share/"):
            return Code.SHARED
        return min(qos, 1) if text in self._identity.filters else Code.FILTER

    def _tell(self, wanted: str, message: Publish, letter: Letter | None = None) -> None:
        """With the identifier of the subscription [MQTT-3.3.4-3], and a command's properties."""
        above = self._filters.get(wanted, 0) >> QOS
        identifiers = (above,) if above else ()
        if letter is not None:
            now_us = self._exchange.wall_now()
            properties = command_properties(self._properties(letter), letter.expires_us, now_us, identifiers)
        elif identifiers:
            properties = Properties(subscription_identifiers=identifiers)
        else:
            properties = NO_PROPERTIES
        self._outlet.send(
            Publish5(message.topic, message.payload, message.qos, message.packet_id, False, message.dup, properties)
        )

    def acknowledged(self, packet: Puback) -> None:
        """PUBACK; with a code that says no, the device refuses the command, which is not sent again [MQTT-4.4.0-2]."""
        code = packet.code if isinstance(packet, Puback5) else Code.SUCCESS
        if code < FAILURE:
            super().acknowledged(packet)
            return
        letter = self._in_flight.pop(packet.packet_id, None)
        if letter is not None:
            _log.info("command_refused", device=self._address.device, code=int(code))
            self._exchange.reject(self._address, letter.lock_token).add_done_callback(self._completed)
