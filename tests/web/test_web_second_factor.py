"""A second factor is set up, asked for at the log-in, taken away by a code; and guessing at codes is slowed down."""

import re

import httpx
import pytest

from islet.access.second_factor import SecondFactor, code_at, with_recovery_codes
from islet.model.people import Role
from islet.model.time import MINUTE_US, SECOND_US
from islet.store.second_factors import put_second_factor, read_second_factor
from tests.conftest import Missing
from tests.web.portal import PASSWORD, Site

SAME = {"sec-fetch-site": "same-origin"}
PATH = "/account/second-factor"
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
LOG_IN = {"name": "nurse", "password": PASSWORD, "next": "/alerts"}


def code(site: Site, around: int = 0) -> str:
    return code_at(SECRET, site.now_us // SECOND_US // 30 + around)


def with_factor(site: Site) -> list[str]:
    kept, codes = with_recovery_codes(SecondFactor(secret=SECRET))
    put_second_factor(site.registry, "nurse", kept)
    return codes


async def pending(client: httpx.AsyncClient) -> str:
    """The first step of the log-in, with the right password: what the second has to show."""
    answer = await client.post("/login", data=LOG_IN, headers=SAME)
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    found = re.search(r'name="pending" value="([^"]+)"', answer.text)
    assert found is not None
    return found[1]


async def enter(client: httpx.AsyncClient, token: str, entered: str) -> httpx.Response:
    return await client.post("/login/code", data={"pending": token, "code": entered, "next": "/alerts"}, headers=SAME)


async def test_it_is_set_up_with_a_qr_code_and_a_first_code(site: Site, missing: Missing) -> None:
    try:
        import segno  # noqa: F401
    except ImportError:
        missing("segno")
    client = site.client("nurse")
    assert (await client.post(PATH, data={"act": "begin"}, headers=SAME)).status_code == 303
    page = (await client.get(PATH)).text
    factor = read_second_factor(site.registry, "nurse")
    assert factor is not None
    assert factor.secret in page
    assert "<svg" in page
    wrong = await client.post(PATH, data={"act": "confirm", "code": "000000"}, headers=SAME)
    assert (wrong.status_code, "This code is wrong" in wrong.text) == (400, True)
    right = code_at(factor.secret, site.now_us // SECOND_US // 30)
    done = await client.post(PATH, data={"act": "confirm", "code": right}, headers=SAME)
    assert len(re.findall(r"<code>[a-z2-7]{4}(?:-[a-z2-7]{4}){3}</code>", done.text)) == 10
    assert factor.secret not in done.text
    assert [(line.action, line.by, line.after) for line in site.registry.audit()] == [("added", "nurse", "")]


async def test_the_log_in_asks_for_the_code_and_takes_it_once(site: Site) -> None:
    with_factor(site)
    client = site.client()
    token = await pending(client)
    assert (await enter(client, token, "123456")).status_code == 401
    done = await enter(client, token, code(site))
    assert (done.status_code, done.headers["location"]) == (303, "/alerts")
    assert (await client.get("/alerts")).status_code == 200
    again = await enter(client, await pending(site.client()), code(site))
    assert again.status_code == 401


async def test_a_password_alone_is_no_session(site: Site) -> None:
    with_factor(site)
    token = await pending(site.client())
    stolen = httpx.AsyncClient(
        transport=httpx.ASGITransport(site.app), base_url="http://islet.test", cookies={"islet_session": token}
    )
    assert (await stolen.get("/alerts")).status_code == 303
    bearer = await stolen.get("/api/clock", headers={"authorization": f"Bearer {token}"})
    assert bearer.status_code == 401


async def test_a_recovery_code_lets_in_once(site: Site) -> None:
    codes = with_factor(site)
    assert (await enter(site.client(), await pending(site.client()), codes[3])).status_code == 303
    assert (await enter(site.client(), await pending(site.client()), codes[3])).status_code == 401


async def test_the_second_step_has_to_come_soon(site: Site) -> None:
    with_factor(site)
    token = await pending(site.client())
    site.now_us += 6 * MINUTE_US
    assert (await enter(site.client(), token, code(site))).status_code == 401


async def test_guessing_at_codes_has_to_wait(site: Site) -> None:
    with_factor(site)
    client = site.client()
    token = await pending(client)
    statuses = [(await enter(client, token, f"{guess:06}")).status_code for guess in range(6)]
    assert statuses == [401] * 5 + [429]
    assert (await enter(client, token, code(site))).status_code == 429


async def test_it_is_taken_away_by_a_code_alone(site: Site) -> None:
    with_factor(site)
    client = site.client("nurse")
    assert (await client.post(PATH, data={"act": "remove", "code": "000000"}, headers=SAME)).status_code == 400
    assert read_second_factor(site.registry, "nurse") is not None
    assert (await client.post(PATH, data={"act": "begin"}, headers=SAME)).status_code == 400
    assert (await client.post(PATH, data={"act": "remove", "code": code(site)}, headers=SAME)).status_code == 303
    assert read_second_factor(site.registry, "nurse") is None


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_acts_for_somebody_cannot_touch_it(site: Site, method: str) -> None:
    site.add_user("kim", Role.CLINICIAN, "p-1")
    client = site.client("admin")
    await client.post("/impersonate", data={"name": "kim", "why": "cannot see a page"}, headers=SAME)
    answer = await client.request(method, PATH, headers=SAME)
    assert (answer.status_code, "Only the person themselves" in answer.text) == (403, True)
