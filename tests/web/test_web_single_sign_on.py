"""Log-in through a real OpenID provider (oidc-provider on Node), and tokens that somebody has made up."""

import asyncio
import base64
import hmac
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from islet.clock import wall_us
from islet.errors import AccessDenied, BadInput
from islet.store.subjects import link_subject, subject_user
from islet.web.app import application
from islet.web.oidc import Begun, Provider, Registration
from tests.conftest import Missing
from tests.gateways.node_sdk import SCRIPTS, node
from tests.web.portal import Site
from tests.web.test_web_second_factor import code, with_factor

HERE = "http://islet.test"
BACK = f"{HERE}/login/provider/back"
SAME = {"sec-fetch-site": "same-origin"}
ISSUER = "https://login.example"


@pytest.fixture(autouse=True)
def _extra(missing: Missing) -> None:
    if find_spec("joserfc") is None:
        missing("joserfc (extra oidc)")


@pytest.fixture
async def issuer(missing: Missing) -> AsyncIterator[str]:
    """The address of a provider that has been started for this test."""
    command = node()
    if command is None or not (SCRIPTS / "node_modules" / "oidc-provider").is_dir():
        missing("oidc-provider for Node (`make setup` installs it)")
    pipe = asyncio.subprocess.PIPE
    script = str(SCRIPTS / "provider.mjs")
    process = await asyncio.create_subprocess_exec(
        *command, script, BACK, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        port = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def browser(site: Site, issuer: str, user: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """A browser at a portal that knows the provider; with a session of `user`'s where one is given."""
    provider = Provider(Registration(issuer=issuer, client_id="islet", client_secret="s3cret", name="Clinic"), wall_us)
    context = replace(site.context, provider=provider)
    app = application(context)
    cookies = {"islet_session": site.token(user)} if user else None
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE, cookies=cookies) as client:
        yield client


async def at_the_provider(address: str, account: str) -> str:
    """What a person does there: log in as that account, and agree; where the provider sends the browser then."""
    async with httpx.AsyncClient(timeout=30) as person:
        for _ in range(12):
            answer = await person.get(address)
            if answer.status_code == 200:
                form = re.search(r'action="([^"]+)"', answer.text)
                prompt = re.search(r'name="prompt" value="([^"]+)"', answer.text)
                assert form is not None and prompt is not None
                fields = {"prompt": prompt[1], "login": account, "password": "x"}
                answer = await person.post(str(httpx.URL(address).join(form[1])), data=fields)
            address = str(httpx.URL(address).join(answer.headers["location"]))
            if address.startswith(BACK):
                return address
    raise AssertionError("the provider did not send the browser back")


async def through(client: httpx.AsyncClient, account: str) -> httpx.Response:
    begun = await client.get("/login/provider?next=/alerts")
    assert begun.status_code == 303
    return await client.get(await at_the_provider(begun.headers["location"], account))


async def test_an_account_is_linked_by_its_owner_and_lets_them_in(site: Site, issuer: str) -> None:
    async with browser(site, issuer, "nurse") as client:
        assert "Log in with Clinic" in (await log_in_page(site, issuer)).text
        page = await client.post("/account/provider", headers=SAME)
        found = re.search(r'<a href="(http://127[^"]+)"', page.text)
        assert found is not None
        back = await client.get(await at_the_provider(found[1].replace("&amp;", "&"), "sub-4711"))
        assert (back.status_code, subject_user(site.registry, issuer, "sub-4711")) == (303, "nurse")
    async with browser(site, issuer) as client:
        done = await through(client, "sub-4711")
        assert (done.status_code, done.headers["location"]) == (303, "/alerts")
        assert (await client.get("/patients/p-1")).status_code == 200
        assert (await client.get("/patients/p-2")).status_code == 403


async def log_in_page(site: Site, issuer: str) -> httpx.Response:
    async with browser(site, issuer) as client:
        return await client.get("/login")


async def test_the_name_of_an_account_lets_nobody_in(site: Site, issuer: str) -> None:
    link_subject(site.registry, "https://other.example", "nurse", "nurse", by="nurse", at_us=site.now_us)
    async with browser(site, issuer) as client:
        done = await through(client, "nurse")
        assert (done.status_code, "linked to nobody here" in done.text) == (403, True)
        assert (await client.get("/alerts")).status_code == 303


async def test_the_second_factor_is_asked_for_all_the_same(site: Site, issuer: str) -> None:
    with_factor(site)
    link_subject(site.registry, issuer, "sub-1", "nurse", by="nurse", at_us=site.now_us)
    async with browser(site, issuer) as client:
        done = await through(client, "sub-1")
        pending = re.search(r'name="pending" value="([^"]+)"', done.text)
        assert pending is not None
        assert (await client.get("/alerts")).status_code == 303
        fields = {"pending": pending[1], "code": code(site), "next": "/alerts"}
        assert (await client.post("/login/code", data=fields, headers=SAME)).status_code == 303


async def test_an_answer_that_this_browser_did_not_ask_for_is_refused(site: Site, issuer: str) -> None:
    link_subject(site.registry, issuer, "sub-1", "nurse", by="nurse", at_us=site.now_us)
    async with browser(site, issuer) as mine, browser(site, issuer) as other:
        begun = await mine.get("/login/provider")
        back = await at_the_provider(begun.headers["location"], "sub-1")
        assert (await other.get(back)).status_code == 403  # no log-in was begun there
        await other.get("/login/provider")
        assert (await other.get(back)).status_code == 403  # another one was
        assert (await mine.get(back)).status_code == 303
        await mine.get("/login/provider")
        assert (await mine.get(back)).status_code == 403  # the code was used


BEGUN = Begun(state="s", nonce="n", verifier="v" * 64)


def urlsafe(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@cache
def keys() -> tuple[Any, Any]:
    """The provider's key, and a stranger's."""
    from joserfc.jwk import RSAKey

    return RSAKey.generate_key(2048, {"kid": "k"}), RSAKey.generate_key(2048, {"kid": "k"})


def forged(claims: dict[str, Any], algorithm: str) -> str:
    """A token without a signature, or signed with the public key as if that were a secret (HS256)."""
    parts = [urlsafe(json.dumps(part).encode()) for part in ({"alg": algorithm, "kid": "k"}, claims)]
    content = ".".join(parts).encode()
    public = keys()[0].as_pem(private=False)
    return f"{content.decode()}.{urlsafe(hmac.digest(public, content, 'sha256')) if algorithm != 'none' else ''}"


async def told(
    change: dict[str, Any],
    *,
    algorithm: str = "RS256",
    stranger: bool = False,
    instead: Mapping[str, bytes] | None = None,
) -> str:
    """What comes of an ID token with these claims, from a provider of our own making; `instead`: by path, what it says in
    the place of its answer."""
    from joserfc import jwt

    key, now_s = keys()[0], wall_us() // 1_000_000
    claims = {"iss": ISSUER, "aud": "islet", "sub": "sub-1", "iat": now_s, "exp": now_s + 60, "nonce": "n"} | change
    given = {name: value for name, value in claims.items() if value is not None}
    if algorithm == "RS256":
        token = jwt.encode({"alg": algorithm, "kid": "k"}, given, keys()[stranger])
    else:
        token = forged(given, algorithm)

    def answer(request: httpx.Request) -> httpx.Response:
        if instead and request.url.path in instead:
            return httpx.Response(200, content=instead[request.url.path])
        if request.url.path == "/token":
            sent = parse_qs(request.content.decode())
            assert sent["code_verifier"] == [BEGUN.verifier]
            return httpx.Response(200, json={"id_token": token, "access_token": "x"})
        if request.url.path == "/keys":
            return httpx.Response(200, json={"keys": [key.as_dict(private=False)]})
        ends = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return httpx.Response(200, json={"issuer": ISSUER} | {name: ISSUER + path for name, path in ends.items()})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    provider = Provider(Registration(issuer=ISSUER, client_id="islet"), wall_us, client)
    return await provider.finish(BEGUN, {"state": "s", "code": "c", "iss": ISSUER}, BACK)


async def test_a_good_token_names_its_subject() -> None:
    assert await told({}) == "sub-1"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": ["islet", "another"]},
        {"azp": "another"},
        {"nonce": "m"},
        {"nonce": None},
        {"sub": None},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(AccessDenied):
        await told(change)


@pytest.mark.parametrize(("algorithm", "stranger"), [("RS256", True), ("HS256", False), ("none", False)])
async def test_a_token_that_the_provider_did_not_sign_is_refused(algorithm: str, stranger: bool) -> None:
    with pytest.raises(AccessDenied):
        await told({}, algorithm=algorithm, stranger=stranger)


async def test_what_is_asked_of_the_provider_is_a_code_with_a_challenge(site: Site, issuer: str) -> None:
    async with browser(site, issuer) as client:
        begun = await client.get("/login/provider")
    asked = parse_qs(urlsplit(begun.headers["location"]).query)
    assert (asked["response_type"], asked["code_challenge_method"], asked["scope"]) == (["code"], ["S256"], ["openid"])
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    assert "HttpOnly" in begun.headers["set-cookie"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"code": "c"}, "this log-in was not begun here"),
        ({"state": "t", "code": "c"}, "this log-in was not begun here"),
        ({"state": "ü", "code": "c"}, "this log-in was not begun here"),
        ({"state": "s", "code": "c", "iss": "https://evil.example"}, "the answer comes from another provider"),
        ({"state": "s", "error": "access_denied"}, "the provider has refused the log-in"),
    ],
)
async def test_an_answer_that_does_not_fit_is_refused_before_the_code_is_shown_to_anybody(
    answer: dict[str, str], reason: str
) -> None:
    def discovery(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/.well-known/openid-configuration"
        ends = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return httpx.Response(200, json={"issuer": ISSUER} | {name: ISSUER + path for name, path in ends.items()})

    client = httpx.AsyncClient(transport=httpx.MockTransport(discovery))
    provider = Provider(Registration(issuer=ISSUER, client_id="islet"), wall_us, client)
    with pytest.raises(AccessDenied) as refused:
        await provider.finish(BEGUN, answer, BACK)
    assert refused.value.reason == reason


async def test_a_provider_that_is_not_there_is_told_and_the_password_still_lets_in(site: Site) -> None:
    async with browser(site, "http://127.0.0.1:9") as client:
        assert (await client.get("/login/provider")).status_code == 503
        assert (await client.get("/login")).status_code == 200


DEEP = b'{"x":' + b"[" * 100_000


@pytest.mark.parametrize(
    ("path", "content"), [("/token", DEEP), ("/keys", b"<html>"), ("/keys", DEEP), ("/keys", b"\xff")]
)
async def test_a_provider_that_says_something_else_is_told_and_no_fault_of_ours(path: str, content: bytes) -> None:
    with pytest.raises(BadInput, match="not OpenID Connect"):
        await told({}, instead={path: content})


async def test_a_cookie_that_nobody_here_has_made_is_no_log_in(site: Site) -> None:
    async with browser(site, "http://127.0.0.1:9") as client:
        client.cookies.set("islet_provider", base64.urlsafe_b64encode(DEEP[:3000]).decode())
        assert (await client.get("/login/provider/back?state=s&code=c")).status_code == 403
