"""The page of devices: how far jobs are, in the reader's language, and claim codes for those who may."""

import re

import pytest
from msgspec import structs

from islet.gateways.claims import redeem
from islet.model.people import Device, Role
from islet.model.time import HOUR_US
from islet.store.devices_base import Address, Command, DeviceJob, JobKind, JobStatus, Step
from tests.web.portal import NOW_US, Site

SAME = {"sec-fetch-site": "same-origin"}


def job(site: Site, id: str = "j-1") -> None:
    body = {"command": "locate"}
    site.devices.create_job(
        DeviceJob(
            id=id,
            kind=JobKind.COMMAND,
            body=dict(body),
            condition="*",
            created_us=NOW_US,
            start_us=NOW_US,
            lasts_us=HOUR_US,
        )
    )
    site.devices.begin_job(id, [Address("pump-1", "1"), Address("pump-2", "1")], NOW_US)


async def text(site: Site, user: str) -> str:
    answer = await site.client(user).get("/device-jobs")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    body = re.sub(r"<(script|head).*?</\1>", "", answer.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.ADMINISTRATOR, 200), (Role.CLINICIAN, 403), (Role.PATIENT, 403), (Role.CARE_PARTNER, 403)],
)
async def test_the_page_is_for_administrators(site: Site, role: Role, status: int) -> None:
    site.add_user("someone", role, "p-1")
    client = site.client("someone")
    assert (await client.get("/device-jobs")).status_code == status
    claim = await client.post("/device-jobs", headers=SAME, data={"act": "claim", "device": "pump-9", "patient": ""})
    assert claim.status_code == status
    assert ('href="/device-jobs"' in (await client.get("/registry")).text) == (status == 200)


async def test_a_job_is_shown_with_what_failed_and_can_be_cancelled(site: Site) -> None:
    job(site)
    first, _ = site.devices.job_steps("j-1")
    site.devices.put_job_step(structs.replace(first, step=Step.FAILED, tries=3, reason="the device said no"))
    shown = await text(site, "admin")
    assert "j-1 Command under way" in shown and "pump-1: failed, tried 3 times – the device said no" in shown
    await site.client("admin").post("/device-jobs", headers=SAME, data={"act": "cancel", "job": "j-1"})
    state = site.devices.job("j-1")
    assert state is not None and state.status is JobStatus.CANCELLED
    line = site.registry.audit()[-1]
    assert (line.by, line.action, line.kind, line.id) == ("admin", "cancelled", "device job", "j-1")
    site.add_user("zhang", Role.ADMINISTRATOR, language="zh-CN")
    assert "j-1 命令 已取消" in await text(site, "zhang")


async def test_a_claim_code_from_the_page_gives_a_device_its_key_once(site: Site) -> None:
    client = site.client("admin")
    answer = await client.post(
        "/device-jobs", headers=SAME, data={"act": "claim", "device": "pump-1", "patient": "p-1"}
    )
    (code,) = re.findall(r"[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]{4}", answer.text)
    assert redeem(site.registry, code, "", now_us=site.now_us).patient == "p-1"
    assert code not in await text(site, "admin")
    again = await client.post("/device-jobs", headers=SAME, data={"act": "claim", "device": "pump-1", "patient": "p-1"})
    assert "is registered already" in again.text
    wrong = await client.post("/device-jobs", headers=SAME, data={"act": "claim", "device": "<b>", "patient": ""})
    assert "not a device id" in wrong.text and "<b>" not in wrong.text


async def test_a_command_that_did_not_get_there_can_be_looked_at_and_sent_again(site: Site) -> None:
    site.registry.create_device(Device(id="pump-1", patient="p-1", primary_key="a2V5"))
    device = site.registry.device("pump-1")
    assert device is not None
    to = Address("pump-1", device.generation_id)
    site.devices.put_command(to, Command(body=b"{}", properties={"$.mid": "m-7"}, expires_us=NOW_US + 1), NOW_US)
    site.devices.expire_commands(NOW_US + HOUR_US)
    shown = await text(site, "admin")
    assert "pump-1 m-7 2" in shown and "not fetched in time" in shown
    (dead,) = site.devices.dead_commands()
    client, again = site.client("admin"), {"number": str(dead.number)}
    assert (await client.post("/device-jobs/commands", headers=SAME, data=again)).status_code == 303
    assert (site.devices.dead_commands(), site.told) == ([], [to])
    (letter,) = site.devices.take_commands(to, site.now_us, site.now_us + HOUR_US)
    assert letter.command.properties["$.mid"] == "m-7"
    line = site.registry.audit()[-1]
    assert (line.by, line.kind, line.id) == ("admin", "device", "pump-1") and "again" in line.action
    gone = await client.post("/device-jobs/commands", headers=SAME, data=again)
    assert "no such patient, job, device or command" in gone.text
    site.add_user("someone", Role.CLINICIAN, "p-1")
    assert (await site.client("someone").post("/device-jobs/commands", headers=SAME, data=again)).status_code == 403


async def test_a_command_to_a_device_that_is_gone_is_not_sent_to_another_of_its_id(site: Site) -> None:
    to = Address("pump-1", "of before")
    site.devices.put_command(to, Command(body=b"{}", expires_us=NOW_US + 1), NOW_US)
    site.devices.expire_commands(NOW_US + HOUR_US)
    (dead,) = site.devices.dead_commands()
    client, again = site.client("admin"), {"number": str(dead.number)}
    gone = await client.post("/device-jobs/commands", headers=SAME, data=again)
    site.registry.create_device(Device(id="pump-1", patient="p-1", primary_key="a2V5"))
    another = await client.post("/device-jobs/commands", headers=SAME, data=again)
    for answer in (gone, another):
        assert "no such patient, job, device or command" in answer.text
    assert site.devices.dead_commands() == [dead] and site.told == []
