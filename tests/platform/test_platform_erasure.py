"""A patient is erased while a whole platform runs: their device is sent away, and nothing of them is told any more."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from islet.access.passwords import hash_password, new_token, token_hash
from islet.access.sas import make_token
from islet.clock import wall_us
from islet.erasure.patients import erase_patient
from islet.model.people import Patient, Role, User
from islet.model.time import HOUR_US, SECOND_US, iso
from islet.opened import opened_holders, opened_log, opened_store
from islet.provision import ensure_worn
from islet.settings import load
from islet.store.rebuild import rebuild
from tests.platform.process import PlatformProcess

SOON_S = 20.0
VERSION = {"api-version": "2021-04-12"}


class Clinic:
    """A platform in its own process, two patients with a device each, and an administrator."""

    def __init__(self, folder: Path) -> None:
        environment = {"ISLET_DATA_DIR": str(folder), "ISLET_HUB_NAME": "localhost", "ISLET_PARTITIONS": "2"}
        self.settings = load(None, environment)
        self.tokens = {}
        with opened_holders(self.settings) as holders:
            for patient, device in (("p-1", "cgm-1"), ("p-2", "cgm-2")):
                key = ensure_worn(holders.registry, Patient(id=patient), device, "localhost").key
                until_s = wall_us() // SECOND_US + 600
                self.tokens[device] = make_token(f"localhost/devices/{device}", key, until_s)
            admin = User(name="admin", role=Role.ADMINISTRATOR, password_hash=hash_password(new_token()))
            holders.registry.put_user(admin)
            self.token = new_token()
            holders.registry.create_session(token_hash(self.token), "admin", wall_us() + HOUR_US)
        self.platform = PlatformProcess(folder, environment)

    def sends(self, device: str, mg_dl: float) -> int:
        body = {"type": "reading", "time": iso(wall_us()), "value": mg_dl, "unit": "mg/dL"}
        headers = {"authorization": self.tokens[device]}
        path = f"/devices/{device}/messages/events"
        return self.platform.http.post(path, json=body, headers=headers, params=VERSION).status_code

    def asks(self, path: str) -> Any:
        headers = {"authorization": f"Bearer {self.token}"}
        return self.platform.http.get(path, headers=headers).raise_for_status().json()

    def log_names(self) -> set[str]:
        """The patients whom an administrator finds in the log."""
        found = set()
        for topic in ("glucose_readings", "alerts"):
            for partition in range(self.settings.partitions):
                at = {"next_offset": 0, "end": 1}
                while at["next_offset"] < at["end"]:
                    at = self.asks(f"/api/log/{topic}?partition={partition}&offset={at['next_offset']}")
                    found |= {entry["patient"] for entry in at["entries"]}
        return found

    def erase(self, patient: str) -> None:
        """As the command does it, beside the platform."""
        with opened_holders(self.settings) as holders:
            erase_patient(holders, patient, by="test", at_us=wall_us())

    def stored(self, patient: str) -> int:
        with opened_store(self.settings) as store:
            return len(store.latest([patient])) + len(store.alerts([patient]))


def until(what: Any) -> None:
    end = time.monotonic() + SOON_S
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    one = Clinic(tmp_path)
    one.platform.start()
    one.platform.wait_until_ready()
    yield one
    one.platform.kill()


def test_whoever_is_erased_is_gone_also_after_a_crash_and_a_rebuild(clinic: Clinic) -> None:
    connected: list[bool] = []
    device = paho.Client(client_id="cgm-1")
    device.username_pw_set(
        f"localhost/cgm-1/?{'&'.join(f'{k}={v}' for k, v in VERSION.items())}", clinic.tokens["cgm-1"]
    )
    device.on_connect = lambda *_: connected.append(True)
    device.on_disconnect = lambda *_: connected.clear()
    device.connect("127.0.0.1", clinic.platform.mqtt_port)
    device.loop_start()
    until(lambda: connected)
    assert clinic.sends("cgm-1", 50) == clinic.sends("cgm-2", 50) == 204
    until(lambda: {alert["patient"] for alert in clinic.asks("/api/alerts")["active"]} == {"p-1", "p-2"})
    assert clinic.log_names() == {"p-1", "p-2"}

    clinic.erase("p-1")
    until(lambda: not connected)
    device.disconnect()
    device.loop_stop()
    assert clinic.sends("cgm-1", 50) == 401
    assert clinic.log_names() == {"p-2"}
    assert {alert["patient"] for alert in clinic.asks("/api/alerts")["active"]} == {"p-2"}
    assert clinic.platform.http.get("/patients/p-1", headers={"authorization": f"Bearer {clinic.token}"}).is_error

    clinic.platform.kill()
    clinic.platform.start()
    clinic.platform.wait_until_ready()
    assert clinic.sends("cgm-2", 45) == 204
    clinic.platform.wait_until_settled()
    assert clinic.log_names() == {"p-2"}
    assert {alert["patient"] for alert in clinic.asks("/api/alerts")["active"]} == {"p-2"}

    assert clinic.platform.stop() == 0
    with opened_log(clinic.settings) as log, opened_store(clinic.settings) as store:
        rebuild(store, log)
    assert (clinic.stored("p-1"), clinic.stored("p-2") > 0) == (0, True)
