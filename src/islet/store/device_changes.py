"""What people change of a registered device, from a page or the command line: whose it is, its state, its keys.

Each change holds for all doors at once: what is open for the device ends within a second where its credential or its
state is another. The audit trail has a line of it. Where `etag` is given, the device has to be as it was read then.
"""

import base64
import secrets
from collections.abc import Callable
from typing import Final

from msgspec import structs

from islet.access.sas import new_key
from islet.errors import BadInput, NotFound
from islet.model.people import Device
from islet.store.base import Registry
from islet.store.devices_base import EtagDiffers
from islet.store.hub_policies import Which

_AT_ONCE: Final = 1000
LONGEST_REASON: Final = 128
"""As at IoT Hub."""


def new_etag() -> str:
    """Of a device in a version that nobody has read yet."""
    return base64.b64encode(secrets.token_bytes(8)).decode()


def assign(registry: Registry, id: str, patient: str, *, by: str, at_us: int, etag: str | None = None) -> Device:
    """The device, from its next event on the patient's, or ("") nobody's. Raises NotFound and EtagDiffers."""
    if patient and registry.patient(patient) is None:
        raise NotFound(f"there is no patient {patient!r}; add them first with `islet patients add`")
    action = f"assigned to {patient or 'nobody'}"
    return _change(registry, id, action, lambda one: {"patient": patient}, by=by, at_us=at_us, etag=etag)


def disable(registry: Registry, id: str, reason: str, *, by: str, at_us: int, etag: str | None = None) -> Device:
    """The device, which is let in nowhere from now on. Raises NotFound, EtagDiffers, and BadInput for a reason that is
    too long."""
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadInput(f"reason: expected at most {LONGEST_REASON} characters on one line", reason="reason")
    action = f"disabled: {reason}" if reason else "disabled"
    changes = {"enabled": False, "status_reason": reason}
    return _change(registry, id, action, lambda one: changes, by=by, at_us=at_us, etag=etag)


def enable(registry: Registry, id: str, *, by: str, at_us: int, etag: str | None = None) -> Device:
    """The device, which may come in again with the credential that it had. Raises NotFound and EtagDiffers."""
    changes = {"enabled": True, "status_reason": ""}
    return _change(registry, id, "enabled", lambda one: changes, by=by, at_us=at_us, etag=etag)


def renew_device_key(
    registry: Registry, id: str, which: Which, *, by: str, at_us: int, etag: str | None = None
) -> Device:
    """The device with a new key in the place of one of its two. What the old one has signed is refused from now on.

    Raises NotFound, EtagDiffers, and BadInput for one that comes with a certificate.
    """

    def renewed(one: Device) -> dict[str, object]:
        if one.authentication != "sas":
            raise BadInput("expected a device with keys; this one comes with a certificate", reason="authentication")
        return {f"{which}_key": new_key()}

    return _change(registry, id, f"{which} key renewed", renewed, by=by, at_us=at_us, etag=etag)


def _change(
    registry: Registry,
    id: str,
    action: str,
    changes: Callable[[Device], dict[str, object]],
    *,
    by: str,
    at_us: int,
    etag: str | None,
) -> Device:
    while True:
        before = registry.device(id)
        if before is None:
            raise NotFound(f"there is no device {id!r}")
        if etag is not None and etag != before.etag:
            raise EtagDiffers("the device was changed meanwhile; look at it again")
        after = structs.replace(before, **changes(before), etag=new_etag())
        try:
            registry.change_device(after, action, etag=before.etag, by=by, at_us=at_us)
        except EtagDiffers:
            if etag is not None:
                raise
            continue
        return after


def own_devices(registry: Registry, patient: str) -> list[str]:
    """The ids of the patient's devices."""
    found, after = [], ""
    while some := registry.find_devices(patient, after=after, limit=_AT_ONCE):
        found += [device.id for device in some if device.patient == patient]
        after = some[-1].id
    return found
