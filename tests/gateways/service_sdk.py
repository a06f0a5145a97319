"""Run by a test: what a service does with the official SDK, against the hub whose connection string is
given, and the file with its authority.

Ends with 77 where the SDK is not installed.
"""

import sys

try:
    import certifi
    from azure.iot.hub import IoTHubRegistryManager
    from azure.iot.hub.models import CloudToDeviceMethod, ExportImportDevice, QuerySpecification, Twin, TwinProperties
    from msrest.exceptions import HttpOperationError
except ImportError:
    sys.exit(77)

NEW_KEYS = ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "MTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjA=")


def status(call: object, *args: object) -> int:
    try:
        call(*args)  # type: ignore[operator]
    except HttpOperationError as error:
        return int(error.response.status_code)
    return 200


def registry(hub: IoTHubRegistryManager) -> None:
    made = hub.create_device_with_sas("pump-1", *NEW_KEYS, "enabled")
    assert made.authentication.symmetric_key.primary_key == NEW_KEYS[0]
    assert status(hub.create_device_with_sas, "pump-1", *NEW_KEYS, "enabled") == 409
    assert hub.get_device("pump-1").etag == made.etag
    assert status(hub.get_device, "pump-404") == 404
    changed = hub.update_device_with_sas("pump-1", made.etag, *NEW_KEYS, "disabled", status_reason="lost")
    assert (changed.status, changed.status_reason) == ("disabled", "lost")
    assert status(hub.update_device_with_sas, "pump-1", made.etag, *NEW_KEYS, "enabled") == 412
    assert {device.device_id for device in hub.get_devices(10)} == {"cgm-1", "pump-1"}
    assert hub.get_device_registry_statistics().total_device_count == 2
    assert hub.get_service_statistics().connected_device_count == 1


def modules(hub: IoTHubRegistryManager) -> None:
    module = hub.create_module_with_sas("pump-1", "m1", "us", *NEW_KEYS)
    assert hub.get_module("pump-1", "m1").etag == module.etag
    assert [one.module_id for one in hub.get_modules("pump-1")] == ["m1"]
    assert hub.update_module_twin("pump-1", "m1", Twin(tags={"a": 1})).tags == {"a": 1}
    hub.delete_module("pump-1", "m1")


def twins(hub: IoTHubRegistryManager) -> None:
    twin = hub.get_twin("cgm-1")
    patch = Twin(tags={"ward": 4}, properties=TwinProperties(desired={"every_s": 60}))
    after = hub.update_twin("cgm-1", patch, twin.etag)
    assert (after.tags, after.properties.desired["every_s"]) == ({"ward": 4}, 60)
    assert status(hub.update_twin, "cgm-1", patch, twin.etag) == 412
    assert hub.replace_twin("cgm-1", Twin(tags={"ward": 5}), after.etag).tags == {"ward": 5}
    found = hub.query_iot_hub(QuerySpecification(query="SELECT * FROM devices WHERE tags.ward = 5")).items
    assert [one.device_id for one in found] == ["cgm-1"]


def methods(hub: IoTHubRegistryManager) -> None:
    call = CloudToDeviceMethod(method_name="measure", payload={"in_s": 5}, response_timeout_in_seconds=30)
    answer = hub.invoke_device_method("cgm-1", call)
    assert (answer.status, answer.payload) == (200, {"in_s": 5})
    assert status(hub.invoke_device_method, "pump-1", call) == 404


def bulk(hub: IoTHubRegistryManager) -> None:
    devices = [ExportImportDevice(id=f"bulk-{number}", import_mode="create") for number in range(3)]
    assert hub.bulk_create_or_update_devices(devices).is_successful
    assert not hub.bulk_create_or_update_devices(devices[:1]).is_successful
    hub.delete_device("pump-1", "*")
    assert status(hub.get_device, "pump-1") == 404


def certificates(hub: IoTHubRegistryManager) -> None:
    own = hub.create_device_with_x509("x-1", "ab" * 20, "CD" * 32, "enabled").authentication
    assert (own.type, own.symmetric_key.primary_key) == ("selfSigned", None)
    assert (own.x509_thumbprint.primary_thumbprint, own.x509_thumbprint.secondary_thumbprint) == ("AB" * 20, "CD" * 32)
    signed = hub.create_device_with_certificate_authority("x-2", "enabled")
    assert (signed.authentication.type, signed.authentication.symmetric_key.primary_key) == (
        "certificateAuthority",
        None,
    )
    keys = hub.update_device_with_sas("x-1", "*", *NEW_KEYS, "enabled").authentication
    assert (keys.type, keys.x509_thumbprint.primary_thumbprint) == ("sas", None)
    assert status(hub.create_device_with_x509, "x-3", "short", None, "enabled") == 400


def main(text: str) -> None:
    hub = IoTHubRegistryManager.from_connection_string(text)
    for act in (registry, modules, twins, methods, bulk, certificates):
        act(hub)
    hub.send_c2d_message("cgm-1", "buzz", {"messageId": "m 1", "kind": "a/b c"})
    hub.amqp_svc_client.disconnect_sync()


certifi.where = lambda: sys.argv[2]  # the only place where the SDK's AMQP library looks for whom to trust
main(sys.argv[1])
