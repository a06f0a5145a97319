"""Log-in, log-out, sessions, forged requests, and how guessing is slowed down."""

import asyncio
import threading

import httpx
import pytest
from msgspec import structs
from starlette.applications import Starlette
from starlette.datastructures import Headers

from islet.access.passwords import token_hash
from islet.model.people import Role
from islet.model.time import HOUR_US, SECOND_US
from islet.web import account
from islet.web.account import local_path
from islet.web.attempts import Attempts
from islet.web.hashing import Hashing
from islet.web.security import from_here
from islet.web.sessions import Door
from tests.web.portal import PASSWORD, Site

SAME = {"sec-fetch-site": "same-origin"}


async def test_log_in_makes_a_session_and_log_out_ends_it(site: Site) -> None:
    client = site.client()
    fields = {"name": "nurse", "password": PASSWORD, "next": "/patients/p-1"}
    answer = await client.post("/login", data=fields, headers=SAME)
    assert (answer.status_code, answer.headers["location"]) == (303, "/patients/p-1")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=lax" in answer.headers["set-cookie"]
    assert (await client.get("/patients/p-1")).status_code == 200
    token = client.cookies["islet_session"]
    assert site.registry.session_user(token_hash(token), site.now_us) is not None
    assert (await client.post("/logout", headers=SAME)).status_code == 303
    assert site.registry.session_user(token_hash(token), site.now_us) is None
    assert "islet_session" not in client.cookies


@pytest.mark.parametrize(("name", "password"), [("nurse", "wrong"), ("nobody", PASSWORD), ("", ""), ("gone", PASSWORD)])
async def test_a_wrong_name_or_password_gives_one_and_the_same_answer(site: Site, name: str, password: str) -> None:
    site.registry.put_user(structs.replace(site.add_user("gone", Role.CLINICIAN), enabled=False))
    answer = await site.client().post("/login", data={"name": name, "password": password}, headers=SAME)
    assert answer.status_code == 401
    assert "Wrong name or password." in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_session_ends_after_its_hours(site: Site) -> None:
    client = site.client()
    await client.post("/login", data={"name": "nurse", "password": PASSWORD}, headers=SAME)
    site.now_us += 12 * HOUR_US - SECOND_US
    assert (await client.get("/")).status_code == 200
    site.now_us += 2 * SECOND_US
    assert (await client.get("/")).status_code == 303


async def test_a_disabled_user_is_out_at_once(site: Site) -> None:
    client = site.client("nurse")
    assert (await client.get("/")).status_code == 200
    user = site.registry.user("nurse")
    assert user is not None
    site.registry.put_user(structs.replace(user, enabled=False))
    assert (await client.get("/")).status_code == 303


async def test_guessing_has_to_wait_and_the_answer_says_how_long(site: Site) -> None:
    client = site.client()
    wrong = {"name": "nurse", "password": "guess"}
    statuses = [(await client.post("/login", data=wrong, headers=SAME)).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    right = await client.post("/login", data={"name": "nurse", "password": PASSWORD}, headers=SAME)
    assert (right.status_code, right.headers["retry-after"]) == (429, "2")
    site.now_us += 3 * SECOND_US
    assert (await client.post("/login", data={"name": "nurse", "password": PASSWORD}, headers=SAME)).status_code == 303


async def test_who_has_logged_in_before_does_not_wait_for_what_others_do_behind_the_same_address(site: Site) -> None:
    own, other = site.client(), site.client()
    right, wrong = {"name": "nurse", "password": PASSWORD}, {"name": "nurse", "password": "guess"}
    assert (await own.post("/login", data=right, headers=SAME)).status_code == 303
    await own.post("/logout", headers=SAME)
    statuses = [(await other.post("/login", data=wrong, headers=SAME)).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert (await own.post("/login", data=right, headers=SAME)).status_code == 303
    await own.post("/logout", headers=SAME)
    statuses = [(await own.post("/login", data=wrong, headers=SAME)).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]  # a stolen token allows no more guesses than an address
    assert (await site.client().post("/login", data=right, headers=SAME)).status_code == 429


def test_each_further_attempt_doubles_the_wait_up_to_five_minutes() -> None:
    attempts, now_us, waits = Attempts(), 0, []
    for _ in range(5):
        assert attempts.begin("nurse", "10.0.0.1", now_us) == 0
    for _ in range(10):
        wait_us = attempts.begin("nurse", "10.0.0.1", now_us)
        waits.append(wait_us // SECOND_US)
        now_us += wait_us
        assert attempts.begin("nurse", "10.0.0.1", now_us) == 0
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_one_names_failures_do_not_lock_others_at_the_same_address() -> None:
    attempts = Attempts()
    for _ in range(5):
        assert attempts.begin("nurse", "10.0.0.1", 0) == 0
    assert attempts.begin("nurse", "10.0.0.1", 0) > 0
    assert attempts.begin("doctor", "10.0.0.1", 0) == 0
    assert attempts.begin("nurse", "10.0.0.2", 0) == 0


def test_many_names_from_one_address_have_to_wait() -> None:
    attempts = Attempts()
    waits = [attempts.begin(f"name-{i}", "10.0.0.1", 0) for i in range(31)]
    assert waits[:30] == [0] * 30
    assert waits[30] > 0


def test_a_success_does_not_free_the_address_for_guessing_at_others() -> None:
    attempts = Attempts()
    for i in range(30):
        assert attempts.begin(f"name-{i}", "10.0.0.1", 0) == 0
    attempts.succeeded("name-0", "10.0.0.1", 0)
    assert attempts.begin("one more", "10.0.0.1", 0) == 0
    assert attempts.begin("other", "10.0.0.1", 0) > 0


def test_a_wards_successes_at_one_address_make_nobody_wait() -> None:
    attempts = Attempts()
    for i in range(200):
        assert attempts.begin(f"nurse-{i}", "10.0.0.1", i) == 0
        attempts.succeeded(f"nurse-{i}", "10.0.0.1", i)


def test_failures_are_forgiven_with_time() -> None:
    attempts = Attempts()
    for i in range(1000):
        assert attempts.begin(f"name-{i}", "10.0.0.1", i * 2 * SECOND_US) == 0
    for i in range(100):
        assert attempts.begin("nurse", "10.0.0.2", i * 300 * SECOND_US) == 0


def test_others_at_an_address_make_a_newcomer_wait_seconds_and_not_minutes() -> None:
    attempts, now_us = Attempts(), 0
    for i in range(500):
        now_us += attempts.begin(f"name-{i}", "10.0.0.1", now_us)
        attempts.begin(f"name-{i}", "10.0.0.1", now_us)
    assert attempts.begin("nurse", "10.0.0.1", now_us) <= 2 * SECOND_US


def test_who_has_logged_in_from_an_address_does_not_wait_for_others() -> None:
    attempts = Attempts()
    attempts.begin("nurse", "10.0.0.1", 0)
    attempts.succeeded("nurse", "10.0.0.1", 0)
    for i in range(150):
        attempts.begin(f"name-{i}", "10.0.0.1", 0)
        attempts.begin("nurse", f"10.1.0.{i}", 0)
    assert attempts.begin("other", "10.0.0.1", 0) > 0
    assert attempts.begin("nurse", "10.2.0.1", 0) > 0
    assert attempts.begin("nurse", "10.0.0.1", 0) == 0


async def test_two_passwords_are_checked_at_once_and_a_bounded_number_waits() -> None:
    hashing, go, lock = Hashing(at_once=2, waiting=3), threading.Event(), threading.Lock()
    two = threading.Event()
    running = most = 0

    def check() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 2:
                two.set()
        go.wait(10)
        with lock:
            running -= 1

    checks = []
    for _ in range(5):
        assert not hashing.full
        checks.append(asyncio.create_task(hashing.run(check)))
        await asyncio.sleep(0)  # lets it take its place
    assert hashing.full
    assert await asyncio.to_thread(two.wait, 10)
    go.set()
    await asyncio.gather(*checks)
    assert most == 2
    assert not hashing.full


async def test_a_log_in_beyond_the_queue_is_429_and_told_when_to_come_again(site: Site) -> None:
    """All at once; each has a name of its own, and too few come for any limit of attempts."""
    door = Door(attempts=Attempts(), hashing=Hashing(waiting=1))
    login = Starlette(routes=account.routes(site.context, door))
    for i in range(5):
        site.add_user(f"nurse-{i}", Role.CLINICIAN)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(login), base_url="http://islet.test") as client:
        fields = ({"name": f"nurse-{i}", "password": PASSWORD} for i in range(5))
        answers = await asyncio.gather(*(client.post("/login", data=one, headers=SAME) for one in fields))
    assert sorted(answer.status_code for answer in answers) == [303] * 3 + [429] * 2
    assert [answer.headers["retry-after"] for answer in answers if answer.status_code == 429] == ["2", "2"]


def test_the_wait_is_in_the_walls_time_however_fast_the_platform_runs() -> None:
    attempts = Attempts(speed=60)
    for _ in range(5):
        attempts.begin("nurse", "10.0.0.1", 0)
    assert attempts.begin("nurse", "10.0.0.1", 0) == 2 * 60 * SECOND_US


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin", "cookie": "a=b"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://islet.test", "host": "islet.test"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "http://islet.test", "host": "islet.test", "cookie": "a=b"}, True),
        ({"origin": "http://evil.test", "host": "islet.test"}, False),
        ({"origin": "null", "host": "islet.test"}, False),
        ({"cookie": "a=b"}, False),
        ({"cookie": ""}, True),
        ({}, True),
    ],
)
def test_who_may_change_something(headers: dict[str, str], allowed: bool) -> None:
    assert from_here(Headers(headers)) is allowed


@pytest.mark.parametrize("path", ["/logout", "/settings", "/api/alerts/x/acknowledge", "/api/log/alerts/cursor/a"])
async def test_another_sites_page_cannot_act_for_the_user(site: Site, path: str) -> None:
    answer = await site.client("nurse").post(path, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert "another site" in answer.text


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.test",
        "///evil.test",
        "/\\/evil.test",
        "/\t/evil.test",
        "//[",
        "https://evil.test/",
        "/\\evil.test",
        "javascript:alert(1)",
        "evil",
        "",
        "/a\r\nb: c",
    ],
)
def test_the_log_in_never_leads_to_another_site(wanted: str) -> None:
    assert local_path(wanted) == "/"


def test_the_log_in_leads_back_to_the_page_that_was_asked_for() -> None:
    assert local_path("/patients/p-1?hours=3") == "/patients/p-1?hours=3"


async def test_every_answer_carries_the_strict_policies(site: Site) -> None:
    for path in ("/login", "/", "/static/css/base.css", "/api/clock", "/nothing-here"):
        headers = (await site.client("nurse").get(path)).headers
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")


async def test_a_bearer_token_is_a_session_too(site: Site) -> None:
    token = site.token("nurse")
    headers = {"authorization": f"Bearer {token}"}
    assert (await site.client().get("/api/clock", headers=headers)).status_code == 200
    assert (await site.client().get("/api/clock", headers={"authorization": "Bearer x"})).status_code == 401
