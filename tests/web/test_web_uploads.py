"""Uploads: where they are kept, for how long, how many and how much of whom, and that what is not wanted is read no further."""

import asyncio
import io
import os
import threading
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from islet.decode.imports.bounds import MOST_XML_BYTES, check_held
from islet.decode.imports.choices import choices_of
from islet.decode.imports.found import Choices
from islet.decode.imports.parts import Part
from islet.errors import BadInput, NotFound
from islet.store.sealed_file import SealedFile
from islet.web.upload_body import Sent
from islet.web.uploads import State, Uploads
from tests.web.exports_sent import API, GOOD, HERE, send, send_by_page, waiting
from tests.web.portal import Site


async def test_nothing_of_a_file_can_be_read_on_the_disk_and_it_has_no_name(site: Site, tmp_path: Path) -> None:
    secret = "2026-02-01 07:05,111.5,\n"
    told = await send(site.client("nurse"), GOOD + secret * 9_000)
    upload = site.uploads.get(told["id"], "nurse", "p-1")
    assert list((tmp_path / "uploads").iterdir()) == []
    raw = upload.files[0].content.raw
    assert isinstance(raw, SealedFile)
    on_disk = os.pread(raw._file.fileno(), 10_000_000, 0)
    assert len(on_disk) >= len(secret) * 9_000
    assert b"111.5" not in on_disk
    assert b"glucose" not in on_disk


async def test_an_upload_is_gone_when_it_was_cancelled_imported_or_too_old(site: Site, tmp_path: Path) -> None:
    nurse = site.client("nurse")
    told = await send(nurse, GOOD)
    upload = site.uploads.get(told["id"], "nurse", "p-1")
    assert (await nurse.delete(f"{API}/{told['id']}", headers=HERE)).status_code == 204
    assert upload.files[0].content.closed
    assert (await nurse.get(f"{API}/{told['id']}")).status_code == 404
    where = (await send_by_page(nurse, ("a.csv", GOOD))).headers["location"]
    upload = waiting(site, where)
    assert (await nurse.post(where, data={"act": "cancel"}, headers=HERE)).headers["location"] == "/patients/p-1"
    assert upload.files[0].content.closed
    told = await send(nurse, GOOD)
    upload = site.uploads.get(told["id"], "nurse", "p-1")
    await nurse.post(f"{API}/{told['id']}/confirm", headers=HERE)
    assert upload.files[0].content.closed


def test_an_upload_that_nobody_confirms_is_let_go_after_its_time(site: Site, tmp_path: Path) -> None:
    desk = Uploads(site.log, site.commit.commit, site.now, folder=tmp_path / "u", most_bytes=1_000_000, lifetime_s=0.05)
    content = SealedFile.nameless(tmp_path / "u")
    content.append(GOOD.encode())
    upload = desk.add("nurse", "p-1", [Sent("a.csv", content.sealed())], choices_of(zone="UTC"), None)
    upload.work.result(20)
    last = desk._timers.get(upload.id)
    if last is not None:
        last.join(20)
    assert content.closed
    with pytest.raises(NotFound):
        desk.get(upload.id, "nurse", "p-1")
    desk.close()


async def test_one_person_sends_a_few_uploads_at_a_time(site: Site, tmp_path: Path) -> None:
    nurse, go_on = site.client("nurse"), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield GOOD.encode()
        await go_on.wait()

    sending = [asyncio.create_task(nurse.post(f"{API}?name=a.csv", content=slowly(), headers=HERE)) for _ in range(4)]
    async with asyncio.timeout(20):
        while site.uploads._coming["nurse"] < 4:
            await asyncio.sleep(0.01)
    assert (await nurse.post(f"{API}?name=a.csv", content=GOOD, headers=HERE)).status_code == 503
    go_on.set()
    assert [answer.status_code for answer in await asyncio.gather(*sending)] == [201] * 4
    assert (await nurse.post(f"{API}?name=a.csv", content=GOOD, headers=HERE)).status_code == 201


class Endless(io.RawIOBase):
    """An Apple export with gigabytes of heart rates, of which nothing is imported."""

    def __init__(self) -> None:
        super().__init__()
        self.place = 0
        self.begun = threading.Event()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: MOST_XML_BYTES}[whence]
        return self.place

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]  # as in SealedFile
        if self.place >= MOST_XML_BYTES or not len(target):
            return 0
        pieces = b"<HealthData>    " if self.place == 0 else b'<Record a="12"/>' * (len(target) // 16)
        piece = pieces[: len(target)]  # all that is read of it are whole records of 16 bytes
        target[: len(piece)] = piece
        self.place += len(piece)
        if self.place > 1_000_000:
            self.begun.set()
        return len(piece)


def test_an_upload_that_is_not_wanted_any_more_is_read_no_further_and_holds_up_no_stop(
    site: Site, tmp_path: Path
) -> None:
    desk = Uploads(site.log, site.commit.commit, site.now, folder=tmp_path / "u", most_bytes=1_000_000)
    for end in (desk.drop, lambda _: desk.close()):
        endless = Endless()
        upload = desk.add("nurse", "p-1", [Sent("export.xml", io.BufferedReader(endless))], Choices(), None)
        assert endless.begun.wait(20)
        end(upload)
        upload.work.result(20)
        assert upload.state is State.FAILED
        assert endless.closed


def test_xml_without_end_is_refused_unread() -> None:
    content = io.BytesIO(b"<HealthData>")
    check_held(Part("export.xml", MOST_XML_BYTES, content, archived=True))
    with pytest.raises(BadInput, match="at most 10 GB"):
        check_held(Part("export.xml", MOST_XML_BYTES + 1, content, archived=True))


async def test_a_person_has_a_few_uploads_at_a_time_and_the_oldest_makes_room(site: Site) -> None:
    nurse = site.client("nurse")
    ids = [(await send(nurse, GOOD))["id"] for _ in range(5)]
    statuses = [(await nurse.get(f"{API}/{id}")).status_code for id in ids]
    assert statuses == [404, 200, 200, 200, 200]


async def test_a_workbook_that_unpacks_to_too_much_is_not_opened(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("islet.decode.imports.bounds.MOST_HELD_BYTES", 1_000_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "x" * 3_000_000)
    lie = packed.getvalue().replace((3_000_000).to_bytes(4, "little"), (3).to_bytes(4, "little"))
    for content in (packed.getvalue(), lie, b"time,glucose (mg/dL)\n" + b"2026-02-01 07:05,112\n" * 60_000):
        (export,) = (await send(site.client("nurse"), content))["files"][0]["exports"]
        assert export["error"]["reason"] == "too_large"
