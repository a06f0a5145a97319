"""Files from devices in the portal: shown, downloaded, deleted and imported by those who may, and noted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from islet.errors import LogDamaged, NotFound
from islet.model.people import Role
from islet.model.topics import Topic
from islet.store.device_files import DeviceFiles
from islet.store.devices_base import Address
from tests.web.portal import NOW_US, Site

HERE = {"sec-fetch-site": "same-origin"}
EXPORT = b"time,glucose (mg/dL)\n2026-02-01 07:05,112\n2026-02-01 07:10,118\n"


def trail(site: Site) -> list[tuple[str, str, str]]:
    return [(line.by, line.action, line.id) for line in site.registry.audit() if line.kind == "device file"]


async def test_a_clinician_sees_downloads_and_deletes_a_file_and_it_is_noted(site: Site) -> None:
    file = site.add_file("logs/day <22>.html", b"<script>" * 100_000)
    site.device_files.begin(Address("cgm-1", "1"), "p-1", "half.bin", NOW_US)
    nurse = site.client("nurse")
    assert 'href="/patients/p-1/files"' in (await nurse.get("/patients/p-1")).text
    page = (await nurse.get("/patients/p-1/files")).text
    for text in ("logs/day &lt;22&gt;.html", "800.0 kB", "cgm-1", "Complete", "half.bin", "Being uploaded"):
        assert text in page
    answer = await nurse.get(f"/patients/p-1/files/{file.id}")
    assert answer.content == b"<script>" * 100_000
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''day%20%3C22%3E.html"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    gone = await nurse.post(f"/patients/p-1/files/{file.id}", data={"act": "delete"}, headers=HERE)
    assert gone.headers["location"] == "/patients/p-1/files"
    assert (await nurse.get(f"/patients/p-1/files/{file.id}")).status_code == 404
    assert (await nurse.post(f"/patients/p-1/files/{file.id}", data={"act": "delete"}, headers=HERE)).status_code == 404
    about = f"cgm-1/{file.id}"
    assert trail(site) == [("nurse", "downloaded", about), ("nurse", "deleted", about)]


async def test_a_file_that_can_be_read_is_handed_to_the_import(site: Site) -> None:
    file, nurse = site.add_file("2026/export.csv", EXPORT), site.client("nurse")
    sent = await nurse.post(f"/patients/p-1/files/{file.id}", data={"act": "import"}, headers=HERE)
    where = sent.headers["location"]
    upload = site.uploads.get(where.rpartition("/")[2], "nurse", "p-1")
    upload.work.result(20)
    page = (await nurse.get(where)).text
    assert "export.csv" in page
    assert "sensor readings: 2" in page
    assert site.log.end(Topic.GLUCOSE_READINGS) == (0, 0)
    await nurse.post(where, data={"act": "import"}, headers=HERE)
    upload.work.result(20)
    assert sum(site.log.end(Topic.GLUCOSE_READINGS)) == 2


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.AUDITOR, Role.APPLICATION])
async def test_who_may_not_see_or_change_does_not(site: Site, role: Role) -> None:
    file = site.add_file("day.csv")
    site.add_user("other", role, "p-1")
    other = site.client("other")
    sees = role is Role.APPLICATION
    for path in ("/patients/p-1/files", f"/patients/p-1/files/{file.id}"):
        assert (await other.get(path)).status_code == (200 if sees else 403)
    for act in ("delete", "import"):
        answer = await other.post(f"/patients/p-1/files/{file.id}", data={"act": act}, headers=HERE)
        assert answer.status_code == 403
    assert site.device_files.file(file.id) == file


async def test_a_file_is_found_with_its_own_patient_alone(site: Site) -> None:
    theirs, nobodys = site.add_file("ben.csv", patient="p-2"), site.add_file("gateway.log", patient="")
    nurse, admin = site.client("nurse"), site.client("admin")
    for file in (theirs, nobodys):
        for path in (f"/patients/p-1/files/{file.id}", f"/patients/p-2/files/{file.id}", f"/files/{file.id}"):
            assert (await nurse.get(path)).status_code in (403, 404)
            assert (await nurse.post(path, data={"act": "delete"}, headers=HERE)).status_code in (403, 404)
    assert (await nurse.get("/files")).status_code == 403
    page = (await admin.get("/files")).text
    assert "gateway.log" in page
    assert "ben.csv" not in page
    assert (await admin.get(f"/files/{theirs.id}")).status_code == 404
    assert (await admin.get(f"/files/{nobodys.id}")).content == b"x"
    imported = await admin.post(f"/files/{nobodys.id}", data={"act": "import"}, headers=HERE)
    assert imported.status_code == 400
    assert (await admin.post(f"/files/{nobodys.id}", data={"act": "delete"}, headers=HERE)).status_code == 303
    with pytest.raises(NotFound):
        site.device_files.file(nobodys.id)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [cut, changed])
def test_a_content_that_was_touched_on_the_disk_is_not_given_out(site: Site, harm: Callable[[Path], None]) -> None:
    files: DeviceFiles = site.device_files
    file = site.add_file("day.csv", b"glucose" * 20_000)
    (piece,) = files._folder.iterdir()
    harm(piece)
    with pytest.raises(LogDamaged):
        b"".join(files.content(file))
