"""What stands in the topic of a message from a device."""

from collections.abc import Mapping

from islet.decode.device_messages import stamped
from islet.decode.iothub import Identity, parse_properties
from islet.decode.mqtt_packets import Will
from islet.errors import ProtocolError


def telemetry_properties(topic: str, telemetry_topic: str, module: str) -> Mapping[str, str]:
    """The property bag at the end of the device's own telemetry topic (whose last slash may be left out). Raises
    ProtocolError for another one."""
    if topic.startswith(telemetry_topic):
        return stamped(parse_properties(topic[len(telemetry_topic) :]), module)
    if topic == telemetry_topic[:-1]:
        return stamped({}, module)
    raise ProtocolError("MQTT: expected the device's own telemetry topic")


def will_properties(will: Will, identity: Identity) -> Mapping[str, str]:
    """The same of a last will. Raises ProtocolError for one that the device may not leave."""
    if will.qos > 1:
        raise ProtocolError("MQTT: expected a will with QoS 0 or 1")
    return telemetry_properties(will.topic, identity.telemetry_topic, identity.module)
