"""A device uploads a file to a whole platform, which is killed in the middle; a person downloads it."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import httpx

from islet.access.passwords import new_token, token_hash
from islet.access.sas import make_token, new_key
from islet.clock import wall_us
from islet.model.people import Device, Patient, Role, User
from islet.model.time import HOUR_US
from islet.opened import opened_registry
from islet.settings import Settings
from tests.platform.process import PlatformProcess

BLOCK = os.urandom(1_000_000)
VERSION = {"api-version": "2021-04-12"}


def provided(data_dir: Path) -> tuple[dict[str, str], dict[str, str]]:
    """A patient with a device and somebody who may see them: the headers of the device, and the person's."""
    key, session, now_us = new_key(), new_token(), wall_us()
    with opened_registry(Settings(data_dir=data_dir)) as registry:
        registry.put_patient(Patient(id="p-1"))
        registry.create_device(Device(id="cgm-1", patient="p-1", generation_id="1", primary_key=key))
        registry.put_user(User(name="nurse", role=Role.CLINICIAN, password_hash="", patients=("p-1",)))
        registry.create_session(token_hash(session), "nurse", now_us + HOUR_US)
    token = make_token("localhost/devices/cgm-1", key, now_us // 1_000_000 + 3600)
    return {"Authorization": token}, {"Authorization": f"Bearer {session}"}


def killed_when_half_came(platform: PlatformProcess, beginning: bytes) -> Iterator[bytes]:
    yield beginning
    platform.kill()
    yield beginning


def test_what_was_acknowledged_before_a_kill_is_in_the_file(tmp_path: Path) -> None:
    own, person = provided(tmp_path)
    platform = PlatformProcess(tmp_path, {"ISLET_ROLES": "gateway,web"})  # the others need longer to start
    platform.start()
    try:
        platform.wait_until_ready()
        info = platform.http.post(
            "/devices/cgm-1/files", params=VERSION, headers=own, json={"blobName": "a.bin"}
        ).json()
        assert info["hostName"] == f"127.0.0.1:{platform.http_port}"
        path = f"{platform.url}/{info['containerName']}/{info['blobName']}{info['sasToken']}&comp=block"
        first, second = (f"{path}&blockid={base64.b64encode(one).decode()}" for one in (b"1", b"2"))
        as_node = {"cookie": ""}  # so does the storage client of IoT Hub's SDK for Node, as no browser does
        assert httpx.put(first, content=BLOCK, headers=as_node).status_code == 201
        try:
            httpx.put(second, content=killed_when_half_came(platform, BLOCK))
        except httpx.TransportError:
            pass
        else:
            raise AssertionError("it was acknowledged by one that was killed")
        platform.start()
        platform.wait_until_ready()
        assert httpx.put(second, content=b"end").status_code == 201
        blocks = "<BlockList><Latest>MQ==</Latest><Latest>Mg==</Latest></BlockList>"
        assert httpx.put(f"{path}list", content=blocks).status_code == 201
        done = {"isSuccess": True, "statusCode": 201, "statusDescription": ""}
        told = f"/devices/cgm-1/files/notifications/{info['correlationId']}"
        assert platform.http.post(told, params=VERSION, headers=own, json=done).status_code == 204
        shown = platform.http.get("/patients/p-1/files", headers=person)
        assert "a.bin" in shown.text
        read = platform.http.get(f"/patients/p-1/files/{info['correlationId']}", headers=person)
        assert read.content == BLOCK + b"end"
    finally:
        platform.stop()
