"""What takes long takes turns: nobody else waits for one person's reports, and nothing is made for who may not see it by then."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from islet.model.people import Role
from islet.reports.forms import written
from islet.store import people
from islet.web.turns import OF_ONE, TooBusy, Turns
from tests.web.portal import Site

PATH = "/patients/p-1/reports/seven-day.html"


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Reports are not ready before the event."""
    go = threading.Event()

    def slowly(*given: Any, **more: Any) -> bytes:
        assert go.wait(30)
        return written(*given, **more)

    monkeypatch.setattr("islet.web.reports.written", slowly)
    try:
        yield go
    finally:
        go.set()


async def crowd(client: httpx.AsyncClient) -> list[asyncio.Task[httpx.Response]]:
    """As many requests as one person may have under way; one more was refused."""
    asked = [asyncio.create_task(client.get(PATH)) for _ in range(OF_ONE + 1)]
    (refused,), left = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    assert (refused.result().status_code, refused.result().headers["retry-after"]) == (429, "5")
    assert "Try again in a moment" in refused.result().text
    return list(left)


async def test_others_go_on_while_one_persons_reports_are_made(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add_user("other", Role.CLINICIAN, "p-1")
    nurse, other = site.client("nurse"), site.client("other")
    with held(monkeypatch) as go:
        made = await crowd(nurse)
        for path in ("/api/patients/p-1/reports/programme", "/patients/p-1/export.zip"):
            answer = await nurse.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        waits = asyncio.create_task(other.get(PATH))
        assert (await nurse.get("/patients/p-1")).status_code == 200
        go.set()
        assert {(await one).status_code for one in (*made, waits)} == {200}
    assert (await nurse.get(PATH)).status_code == 200


async def test_who_may_not_see_a_patient_any_more_when_it_is_their_turn_gets_no_report(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add_user("other", Role.CLINICIAN, "p-1")
    nurse, other = site.client("nurse"), site.client("other")
    with held(monkeypatch) as go:
        made, waiting = await crowd(nurse), await crowd(other)
        people.put_person(site.registry, "other", patients=(), by="admin", at_us=site.now_us)
        go.set()
        assert {(await one).status_code for one in waiting} == {403}
        assert {(await one).status_code for one in made} == {200}


async def test_so_many_wait_and_no_more() -> None:
    turns, go = Turns(at_once=1, waiting=1, of_one=5), threading.Event()
    first, second = (asyncio.create_task(turns.run(name, lambda: go.wait(30))) for name in "ab")
    await asyncio.sleep(0)
    with pytest.raises(TooBusy):
        await turns.run("c", lambda: True)
    go.set()
    assert await first and await second
    assert await turns.run("c", lambda: True)
