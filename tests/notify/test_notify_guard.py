"""Addresses that people enter are not a way into our network."""

import socket
from ipaddress import ip_address

import pytest

from islet.model.time import SECOND_US
from islet.notify.guard import Answer, GuardedClient, NoAnswer, Refused, is_public
from tests.notify.fake_http import fake_http, raw
from tests.notify.scenario import NOW

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2001:0:1::1",
    "fec0::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_told_apart(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://2130706433/",  # 127.0.0.1 as one number
        "https://0x7f.1/",
        "https://user@1.1.1.1/",
        "http://1.1.1.1/",
        "ftp://1.1.1.1/",
        "file:///etc/passwd",
        "https:///nowhere",
        "https://1.1.1.1:0/",
        "https://1.1.1.1:70000/",
        "https://1.1.1.1:99999999999/",
        "",
        "https://[::1",
    ],
)
def test_nothing_is_sent_to_an_address_that_is_refused(url: str) -> None:
    client = GuardedClient(timeout_s=0.2)
    with pytest.raises(Refused):
        client.post(url, b"", {})
    client.close()


@pytest.mark.parametrize("url", ["http://192.168.1.7:8123/api/webhook/islet", "https://192.168.1.7/"])
def test_who_calls_a_program_in_their_own_network_reads_which_setting_lets_them(url: str) -> None:
    client = GuardedClient(timeout_s=0.2)
    with pytest.raises(Refused, match="notify_allowed_networks"):
        client.post(url, b"", {})
    client.close()


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    client = GuardedClient(timeout_s=0.2)
    with pytest.raises(Refused, match="not public"):
        client.post("https://example.org/", b"", {})
    client.close()


def test_the_connection_goes_to_the_address_that_was_checked_with_the_name_as_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that answers otherwise when it is asked a second time gains nothing: it is asked once."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, *rest: object, **more: object) -> object:
        if host != "hook.example.org":
            return real(host, *rest, **more)  # type: ignore[arg-type]
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    client = GuardedClient(allowed=["127.0.0.1/32"], timeout_s=1)
    with fake_http() as fake:
        port = fake.base_url.rpartition(":")[2]
        assert client.post(f"http://hook.example.org:{port}/x?y=1", b"body", {"A": "b"}).status == 200
        (request,) = fake.requests
    assert asked == ["hook.example.org"]
    assert (request.path, request.body, request.headers["Host"]) == ("/x?y=1", b"body", f"hook.example.org:{port}")
    client.close()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://fa\u00df.example/", "xn--fa-hia.example"),  # another decoder reads this as fass.example
        ("https://xn--/", "xn--"),
        ("https://xn--a.example/", "xn--a.example"),
        ("https://EXAMPLE.org./", "example.org."),
    ],
)
def test_the_name_that_is_looked_up_is_the_one_that_is_called(
    monkeypatch: pytest.MonkeyPatch, url: str, name: str
) -> None:
    asked: list[str] = []

    def nobody(host: str, *_: object, **__: object) -> object:
        if not host.startswith("127."):  # a client of an earlier test that still calls its server
            asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    client = GuardedClient(timeout_s=0.2)
    with pytest.raises(NoAnswer):
        client.post(url, b"", {})
    assert asked == [name]
    client.close()


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    client = GuardedClient(allowed=["127.0.0.0/8"], timeout_s=1)
    with fake_http() as inside, fake_http(raw(302, Location=inside.base_url)) as fake:
        assert client.post(fake.base_url, b"", {}).status == 302
        assert inside.requests == []
    client.close()


def test_no_more_of_an_answer_is_taken_than_is_needed() -> None:
    client = GuardedClient(allowed=["127.0.0.0/8"], timeout_s=1)
    with fake_http(raw(200, b"x" * 1_000_000)) as fake:
        assert len(client.post(fake.base_url, b"", {}).body) == 65_536
    client.close()


def test_a_name_that_does_not_exist_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> object:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    client = GuardedClient(timeout_s=0.2)
    with pytest.raises(NoAnswer):
        client.post("https://example.org/", b"", {})
    client.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("", 0),
        ("-1", 0),
        ("soon", 0),
        ("Mon, 21 Sep 2026 14:14:20 GMT", 60),
        ("Mon, 21 Sep 2026", 0),
        ("Mon, 21 Sep 99999999999999999999 14:14:20 GMT", 0),
    ],
)
def test_how_long_to_wait_is_read_as_seconds_or_as_a_date(text: str, seconds: float) -> None:
    now_us = 1_790_000_000 * SECOND_US
    assert now_us == NOW
    assert Answer(status=429, headers={"retry-after": text}).retry_after_s(now_us) == seconds
