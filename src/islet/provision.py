"""Devices that Islet itself plays (simulated and replayed people): their registration, where they connect, and what
time it is there."""

import httpx
from msgspec import Struct

from islet.access.sas import ConnectionString
from islet.agent.mqtt_client import Address
from islet.clock import wall_us
from islet.errors import IsletError, SettingError
from islet.gateways.authenticate import new_device
from islet.gateways.certificates import client_ssl_context, ensure_certificates
from islet.model.people import Patient, check_patient
from islet.model.time import Now
from islet.settings import Settings
from islet.store.base import Registry


def ensure_worn(registry: Registry, patient: Patient, device: str, hub_name: str) -> ConnectionString:
    """The credentials of a patient's device; both are made where they are not there. Raises BadInput for a patient's
    id that cannot be."""
    check_patient(patient)
    if registry.patient(patient.id) is None:
        registry.put_patient(patient)
    known = registry.device(device)
    if known is None:
        known = new_device(device, wall_us(), patient.id)
        registry.create_device(known)
    return ConnectionString(host=hub_name, device=known.id, key=known.primary_key)


def need_mqtt(settings: Settings) -> None:
    """Raises SettingError where the platform has no door for devices on this machine."""
    if not settings.mqtt_tls_port:
        raise SettingError(
            "setting mqtt_tls_port: expected a port, for that is how devices on this machine send; got 0"
        )


def front_door(settings: Settings) -> Address:
    """Where devices on this machine find the platform of these settings, and whom they trust. Raises SettingError."""
    need_mqtt(settings)
    paths = ensure_certificates(settings.data_dir, settings.hub_name, wall_us())
    return Address(host=settings.hub_name, port=settings.mqtt_tls_port, tls=client_ssl_context(paths.authority))


class PlatformClock(Struct, frozen=True):
    """What the platform says of its clock: an instant, and how many times faster than the wall's it runs."""

    now_us: int
    speed: float

    def running(self, wall: Now) -> Now:
        """The platform's clock from here on, by a wall's clock that is started now."""
        asked_us = wall()
        return lambda: self.now_us + round((wall() - asked_us) * self.speed)


def platform_clock(settings: Settings) -> PlatformClock:
    """The clock of the platform that runs on this data directory. Raises IsletError when none answers."""
    try:
        answer = _asked(settings, "/readyz").raise_for_status().json()
        return PlatformClock(int(answer["now_us"]), float(answer["speed"]))
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        raise IsletError(
            f"no platform answers at {_base(settings)} ({type(error).__name__}); start one with `islet serve` on this data "
            "directory"
        ) from None


def failing_parts(settings: Settings) -> list[str]:
    """The parts of the platform that runs on this data directory which do not do their work. Raises IsletError when it
    does not answer."""
    try:
        return [str(part) for part in _asked(settings, "/healthz").json()["failing"]]
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        raise IsletError(
            f"no answer at {_base(settings)} ({type(error).__name__}); has it just been started?"
        ) from None


def _asked(settings: Settings, path: str) -> httpx.Response:
    paths = ensure_certificates(settings.data_dir, settings.hub_name, wall_us())
    return httpx.get(f"{_base(settings)}{path}", verify=client_ssl_context(paths.authority))


def _base(settings: Settings) -> str:
    return f"https://{settings.hub_name}:{settings.https_port}"
