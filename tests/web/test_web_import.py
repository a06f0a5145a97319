"""Exports through the portal and over HTTP: looked at first, imported once, by whom it may, and nothing left behind."""

import io
import re
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import islet.decode
from islet.decode.imports.parts import Part
from islet.imports import Looked, Progress, look
from islet.model.people import Role
from islet.web.upload_texts import LEFT_OUT
from islet.web.uploads import State
from tests.web.exports_sent import API, GOOD, HERE, TWO_WAYS, UNITLESS, send, send_by_page, stored, waiting
from tests.web.portal import Site


async def test_a_file_is_shown_before_it_is_imported_and_a_second_time_changes_nothing(site: Site) -> None:
    nurse = site.client("nurse")
    assert 'href="/patients/p-1/import"' in (await nurse.get("/patients/p-1")).text
    sent = await send_by_page(nurse, ("clarity.csv", GOOD))
    where = sent.headers["location"]
    waiting(site, where)
    page = (await nurse.get(where)).text
    assert "clarity.csv" in page
    assert "meals: 1; sensor readings: 2" in page
    assert "Feb 1, 2026, 7:05:00\u202fAM" in page
    assert "1 × the same device and instant as an earlier reading (first in line 4)" in page
    assert stored(site) == (0, [])
    done = await nurse.post(where, data={"act": "import"}, headers=HERE)
    assert done.headers["location"] == where
    waiting(site, where)
    assert "3 events are new; 0 were there already." in (await nurse.get(where)).text
    assert stored(site) == (2, ["meal"])
    again = await send_by_page(nurse, ("clarity.csv", GOOD))
    waiting(site, again.headers["location"])
    await nurse.post(again.headers["location"], data={"act": "import"}, headers=HERE)
    waiting(site, again.headers["location"])
    assert "0 events are new; 3 were there already." in (await nurse.get(again.headers["location"])).text
    assert stored(site) == (2, ["meal"])
    actions = [(line.by, line.action, line.id) for line in site.registry.audit()]
    assert actions == [("nurse", "imported 3 events", "p-1"), ("nurse", "imported 0 events", "p-1")]


async def test_a_program_sends_looks_says_how_to_read_and_confirms(site: Site) -> None:
    nurse = site.client("nurse")
    told = await send(nurse, TWO_WAYS)
    (export,) = told["files"][0]["exports"]
    assert (told["state"], export["error"]["reason"], export["error"]["line"]) == ("checked", "date_order", 2)
    path = f"{API}/{told['id']}"
    refused = await nurse.post(f"{path}/confirm", headers=HERE)
    assert (refused.status_code, stored(site)[0]) == (400, 0)
    said = {"date_order": "dmy", "zone": "Europe/Vienna"}
    (export,) = (await nurse.put(path, json=said, headers=HERE)).json()["files"][0]["exports"]
    assert export["error"] is None
    assert (export["first"], export["events"]) == ("2026-02-03T06:05:00Z", {"reading": 2})
    assert (await nurse.get(path)).json()["files"][0]["said"]["date_order"] == "dmy"
    done = await nurse.post(f"{path}/confirm", headers=HERE)
    assert (done.status_code, done.json()["imported"]) == (200, {"new": 2, "known": 0})
    assert (await nurse.post(f"{path}/confirm", headers=HERE)).json()["imported"] == {"new": 2, "known": 0}
    assert stored(site) == (2, [])


async def test_what_a_file_does_not_say_can_be_said_with_it(site: Site) -> None:
    nurse = site.client("nurse")
    (export,) = (await send(nurse, UNITLESS))["files"][0]["exports"]
    assert export["error"]["reason"] == "unit"
    (export,) = (await send(nurse, UNITLESS, "&unit=mmol/L"))["files"][0]["exports"]
    assert export["units"] == ["mmol/L"]
    ours = "wann,wert\n2026-02-01 07:05,112\n"
    mapped = await send(nurse, ours, "&unit=mg/dL&mapping=time=wann&mapping=glucose=wert")
    assert mapped["files"][0]["exports"][0]["events"] == {"reading": 1}


@pytest.mark.parametrize(
    "query", ["&unit=stone", "&zone=Mars/Base", "&date_order=ydm", "&format=word", "&mapping=time", "&mapping=x=y"]
)
async def test_what_cannot_be_said_is_refused(site: Site, query: str) -> None:
    answer = await site.client("nurse").post(f"{API}?{query}", content=GOOD, headers=HERE)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (TWO_WAYS, "Line 2. The dates can be read in two ways"),
        (UNITLESS, "does not say the unit of glucose"),
        (GOOD + "2026-02-01 07:20,much,\n", "Line 5, column glucose (mg/dL). There is something else"),
        ("", "The file is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "This is no export that is known here"),
        ('[{"sgv": 120, "date"', "Line 1, column"),
    ],
)
async def test_a_file_that_cannot_be_read_says_where_and_what_to_do(
    site: Site, content: bytes | str, said: str
) -> None:
    nurse = site.client("nurse")
    where = (await send_by_page(nurse, ("wrong.csv", content))).headers["location"]
    upload = waiting(site, where)
    page = (await nurse.get(where)).text
    assert said in page
    assert 'value="import"' not in page
    assert "much" not in page
    assert upload.state is State.CHECKED
    refused = await nurse.post(where, data={"act": "import"}, headers=HERE)
    assert (refused.status_code, stored(site)) == (400, (0, []))


async def test_an_ambiguous_file_is_read_as_the_form_says(site: Site) -> None:
    nurse = site.client("nurse")
    where = (await send_by_page(nurse, ("libre.csv", TWO_WAYS), ("good.csv", GOOD))).headers["location"]
    waiting(site, where)
    form = {"act": "look", "file": "0", "date_order": "mdy", "zone": "UTC"}
    assert (await nurse.post(where, data=form, headers=HERE)).headers["location"] == where
    (first, second) = waiting(site, where).files
    assert first.choices.date_order == "mdy"
    assert second.choices.date_order is None
    assert "Mar 2, 2026" in (await nurse.get(where)).text
    assert (await nurse.post(where, data={**form, "file": "7"}, headers=HERE)).status_code == 404
    assert (await nurse.post(where, data={**form, "zone": "Mars/Base"}, headers=HERE)).status_code == 400


class Halt(NamedTuple):
    """`reached` is set when a file was read half way; there it waits for `go_on`."""

    reached: threading.Event
    go_on: threading.Event


@pytest.fixture
def halt(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Halt]:
    """Every file stops half way."""
    halt = Halt(threading.Event(), threading.Event())

    def halting(part: Part, *given: Any, progress: Progress, **named: Any) -> Looked:
        progress(part.bytes // 2)
        halt.reached.set()
        halt.go_on.wait(20)
        progress(part.bytes)
        return look(part, *given, progress=progress, **named)

    monkeypatch.setattr("islet.web.uploads.look", halting)
    monkeypatch.setattr("islet.web.import_pages._PATIENCE_S", 0.0)
    yield halt
    halt.go_on.set()


async def test_a_long_file_shows_how_far_it_is_read_and_goes_on_by_itself(site: Site, halt: Halt) -> None:
    nurse = site.client("nurse")
    where = (await send_by_page(nurse, ("long.csv", GOOD))).headers["location"]
    path = f"{API}/{where.rpartition('/')[2]}"
    halt.reached.wait(20)
    told = (await nurse.get(path)).json()
    assert (told["state"], told["done_bytes"], told["all_bytes"]) == ("checking", len(GOOD) // 2, len(GOOD))
    page = (await nurse.get(where)).text
    assert f'<progress id="read" max="{len(GOOD)}" value="{len(GOOD) // 2}">' in page
    assert 'http-equiv="refresh"' in page
    busy = await nurse.post(f"{path}/confirm", headers=HERE)
    assert busy.status_code == 400
    halt.go_on.set()
    waiting(site, where)
    assert (await nurse.get(path)).json()["state"] == "checked"


async def test_an_upload_that_is_cancelled_while_it_is_read_is_let_go(site: Site, halt: Halt) -> None:
    nurse = site.client("nurse")
    where = (await send_by_page(nurse, ("long.csv", GOOD))).headers["location"]
    upload = site.uploads.get(where.rpartition("/")[2], "nurse", "p-1")
    halt.reached.wait(20)
    await nurse.post(where, data={"act": "cancel"}, headers=HERE)
    halt.go_on.set()
    upload.work.result(20)
    assert upload.files[0].content.closed
    assert upload.files[0].looked == []


@pytest.mark.parametrize("how", ["cancelled", "disk full"])
async def test_what_was_imported_before_an_import_ended_is_told_and_in_the_audit_trail(
    site: Site, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("islet.imports._CHUNK", 2)
    nurse = site.client("nurse")
    told = await send(nurse, GOOD + "2026-02-01 07:15,120,\n2026-02-01 07:20,121,\n")
    upload, write = site.uploads.get(told["id"], "nurse", "p-1"), site.uploads._write

    def ends(appends: Any) -> None:
        if upload.appended.new:
            raise OSError("the disk is full")
        write(appends)
        if how == "cancelled":
            site.uploads.drop(upload)

    monkeypatch.setattr(site.uploads, "_write", ends)
    answer = await nurse.post(f"{API}/{told['id']}/confirm", headers=HERE)
    assert (answer.json()["state"], answer.json()["imported"]) == ("failed", {"new": 2, "known": 0})
    assert stored(site) == (1, ["meal"]) or stored(site) == (2, [])
    assert [line.action for line in site.registry.audit()] == ["imported 2 events"]


async def test_the_exports_of_an_archive_are_imported_and_the_rest_is_left_out(site: Site) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/cgm.csv", GOOD)
        archive.writestr("letter.txt", "Dear reader\n")
        archive.writestr("data/wrong.csv", TWO_WAYS)
    told = await send(site.client("nurse"), packed.getvalue())
    found = {one["name"]: (one["beside"], one["error"] is None) for one in told["files"][0]["exports"]}
    assert found == {
        "one.csv/data/cgm.csv": (False, True),
        "one.csv/letter.txt": (True, False),
        "one.csv/data/wrong.csv": (False, False),
    }
    done = await site.client("nurse").post(f"{API}/{told['id']}/confirm", headers=HERE)
    assert done.json()["imported"] == {"new": 3, "known": 0}


async def test_too_much_is_refused_before_it_is_taken_in(site: Site) -> None:
    nurse = site.client("nurse")
    page = await send_by_page(nurse, ("big.csv", b"x" * 2_100_000))
    assert page.status_code == 413
    assert "an upload may hold 2 MB" in page.text
    answer = await nurse.post(API, content=b"x" * 2_100_000, headers=HERE)
    assert (answer.status_code, "at most 2 MB" in answer.json()["error"]) == (413, True)

    async def pieces() -> Any:
        for _ in range(30):
            yield b"x" * 100_000

    assert (await nurse.post(API, content=pieces(), headers=HERE)).status_code == 413


async def test_only_who_may_enter_events_of_a_patient_imports_and_only_their_own_upload(site: Site) -> None:
    site.add_user("mirror", Role.APPLICATION, "p-1")
    site.add_user("ada", Role.PATIENT, "p-1")
    told = await send(site.client("ada"), GOOD)
    for user, status in (("nurse", 404), ("admin", 404), ("mirror", 403)):
        for method, path in (("GET", ""), ("POST", "/confirm"), ("DELETE", ""), ("PUT", "")):
            answer = await site.client(user).request(method, f"{API}/{told['id']}{path}", json={}, headers=HERE)
            assert answer.status_code == status, (user, method, path)
        assert (await site.client(user).get(f"/patients/p-1/import/{told['id']}")).status_code == status
    stranger = site.client("nurse")
    assert (await stranger.post("/api/patients/p-2/imports", content=GOOD, headers=HERE)).status_code == 403
    assert (await stranger.get("/patients/p-2/import")).status_code == 403
    assert (await site.client("ada").get(f"/api/patients/p-2/imports/{told['id']}")).status_code == 403
    foreign = {"sec-fetch-site": "cross-site"}
    assert (await site.client("ada").post(API, content=GOOD, headers=foreign)).status_code == 403
    confirm = f"{API}/{told['id']}/confirm"
    assert (await site.client("ada").post(confirm, headers=foreign)).status_code == 403
    assert (await site.client("ada").post(confirm, headers=HERE)).status_code == 200


async def test_an_application_imports_once_an_administrator_has_granted_it(site: Site) -> None:
    site.add_user("mirror", Role.APPLICATION, "p-1")
    mirror = site.client("mirror")
    assert (await mirror.post(API, content=GOOD, headers=HERE)).status_code == 403
    who = {"issued_to": "application/mirror", "principal_for": "p-1"}
    grant = {"act": "grant", **who, "action": "send", "subject.entry": "1"}
    answer = await site.client("admin").post("/permissions", data=grant, headers=HERE)
    assert answer.status_code == 303, answer.text
    told = await send(mirror, GOOD)
    assert (await mirror.post(f"{API}/{told['id']}/confirm", headers=HERE)).json()["imported"]["new"] == 3


async def test_who_lost_the_right_meanwhile_does_not_confirm(site: Site) -> None:
    ada = site.client("ada") if site.add_user("ada", Role.PATIENT, "p-1") else site.client()
    told = await send(ada, GOOD)
    site.add_user("ada", Role.PATIENT, "p-2")
    assert (await ada.post(f"{API}/{told['id']}/confirm", headers=HERE)).status_code == 403
    assert stored(site) == (0, [])


async def test_what_is_no_upload_is_refused_and_nothing_is_kept(site: Site) -> None:
    nurse = site.client("nurse")
    headers = {**HERE, "content-type": "multipart/form-data; boundary=x"}
    for body in (b"--x\r\n", b"", b"--x\r\ncontent-disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n"):
        assert (await nurse.post("/patients/p-1/import", content=body, headers=headers)).status_code == 400
        assert (await nurse.post(API, content=body, headers=headers)).status_code == 400
    assert (await nurse.post(API, content=b"", headers=HERE)).status_code == 400
    assert (await nurse.put(f"{API}/none", content=b"{", headers=HERE)).status_code == 404


async def test_the_pages_are_in_chinese_too(site: Site) -> None:
    site.add_user("wang", Role.CLINICIAN, "p-1", language="zh-CN")
    wang = site.client("wang")
    where = (await send_by_page(wang, ("a.csv", GOOD))).headers["location"]
    waiting(site, where, "wang")
    page = (await wang.get(where)).text
    assert "传感器读数：2" in page


async def test_the_samples_of_the_platforms_give_the_same_over_http_as_their_readers_do(
    site: Site, shared_data: Path
) -> None:
    samples = shared_data / "import_samples"
    told = await send(site.client("nurse"), (samples / "tidepool" / "example-from-j-jellyfish.json").read_bytes())
    (export,) = told["files"][0]["exports"]
    assert (export["format"], export["error"]) == ("tidepool", None)
    done = await site.client("nurse").post(f"{API}/{told['id']}/confirm", headers=HERE)
    assert done.json()["imported"]["new"] == sum(export["events"].values())


def test_every_reason_for_leaving_lines_out_has_its_words() -> None:
    decode = Path(islet.decode.__file__).parent
    readers = [decode / "shanghai.py", *(decode / "imports").glob("*.py")]
    source = "\n".join(reader.read_text(encoding="utf-8") for reader in readers)
    given = re.findall(r'Skipped\([^()]*?f?"([^"]+)"|(?:return|_IMPOSSIBLE.*? =) "([a-z][^"]+ [^"]+)"', source)
    given += [
        ("", one) for one in ("before 1900", "in the future", "the same device and instant as an earlier reading")
    ]
    told = {"".join(reason).rpartition(": ")[2] for reason in given}
    assert len(told) > 10
    assert told - set(LEFT_OUT) == set()


async def test_one_person_does_not_take_the_place_of_all_the_others(
    site: Site, halt: Halt, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add_user("ada", Role.PATIENT, "p-1")
    ada = site.client("ada")
    statuses = [(await send_by_page(ada, ("a.csv", GOOD))).status_code for _ in range(5)]
    assert statuses == [303] * 4 + [503]
    assert "Four uploads of yours are being sent or read." in (await send_by_page(ada, ("a.csv", GOOD))).text
    assert (await send_by_page(site.client("nurse"), ("a.csv", GOOD))).status_code == 303
    halt.go_on.set()
