"""Whose X-Forwarded-For is believed, and how far."""

import pytest
from starlette.requests import HTTPConnection

from islet.errors import SettingError
from islet.web.addresses import address_of, parse_networks

PROXIES = parse_networks(["10.0.0.0/8", "192.168.1.5"])


def seen(peer: str, *forwarded: str) -> str:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return address_of(HTTPConnection({"type": "http", "headers": headers, "client": (peer, 1)}), PROXIES)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # a stranger says so
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the first is made up
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 192.168.1.5"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.7"], "10.0.0.7"),
        ("10.0.0.1", ["nonsense"], ""),
        ("::1", [], "::/64"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("/run/socket", [], ""),
    ],
)
def test_an_address_is_believed_as_far_as_trusted_proxies_wrote_it(
    peer: str, forwarded: list[str], address: str
) -> None:
    assert seen(peer, *forwarded) == address


def test_what_is_no_network_is_a_wrong_setting() -> None:
    with pytest.raises(SettingError, match="trusted_proxies"):
        parse_networks(["proxy.example"])
