"""Run by a test: what a service does with digital twins by the official SDK, against the hub whose connection string is
given, and the file with its authority.

Ends with 77 where the SDK is not installed.
"""

import sys

try:
    import certifi
    from azure.iot.hub import DigitalTwinClient, IoTHubConfigurationManager
    from azure.iot.hub.models import Configuration, ConfigurationContent
except ImportError:
    sys.exit(77)


def twins(text: str) -> None:
    hub = DigitalTwinClient.from_connection_string(text)
    before = hub.get_digital_twin("cgm-1")
    assert (before["$dtId"], before["$metadata"]["$model"]) == ("cgm-1", "dtmi:com:example:Cgm;1")
    assert before["sensor"]["glucose"] == 100
    patch = [{"op": "add", "path": "/sensor/every_s", "value": 60}]
    hub.update_digital_twin("cgm-1", patch)
    about = hub.get_digital_twin("cgm-1")["sensor"]["$metadata"]["every_s"]
    assert (about["desiredValue"], about["desiredVersion"]) == (60, 2)
    assert hub.invoke_command("cgm-1", "measure", {"in_s": 5}, 5, 30) == {"in_s": 5}
    assert hub.invoke_component_command("cgm-1", "sensor", "blink", "x") == "x"


def configurations(text: str) -> None:
    hub = IoTHubConfigurationManager.from_connection_string(text)
    content = ConfigurationContent(device_content={"properties.desired.pump": {"rate": 1}})
    made = hub.create_configuration(Configuration(id="c1", content=content, target_condition="*", priority=3))
    assert (made.id, made.content.device_content) == ("c1", content.device_content)
    made.priority = 4
    assert hub.update_configuration(made, made.etag).priority == 4
    assert [one.id for one in hub.get_configurations(10)] == ["c1"]
    hub.delete_configuration("c1")
    assert hub.get_configurations(10) == []


if __name__ == "__main__":
    certifi.where = lambda: sys.argv[2]
    twins(sys.argv[1])
    configurations(sys.argv[1])
