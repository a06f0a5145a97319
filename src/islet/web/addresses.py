"""Where a request comes from, as far as that can be believed: of proxies, only those that are named in the settings."""

import ipaddress
from collections.abc import Iterable, Sequence

from starlette.requests import HTTPConnection

from islet.errors import SettingError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_ONE_PARTY_BITS = 64  # of an IPv6 address: a household or a firm has the rest (RFC 6177), to change as it likes


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from "10.0.0.5" or "10.0.0.0/8". Raises SettingError."""
    try:
        return tuple(ipaddress.ip_network(text.strip()) for text in texts)
    except ValueError:
        raise SettingError("trusted_proxies: expected addresses or networks as 10.0.0.0/8") from None


def address_of(connection: HTTPConnection, proxies: Sequence[Network] = ()) -> str:
    """The address of the client; of IPv6 its network of 64 bits. "" where it is none.

    X-Forwarded-For is read from its end, and only as far as trusted proxies have written it: what stands further to the
    front anybody can make up.
    """
    peer = connection.client.host if connection.client else ""
    hops = [hop.strip() for value in connection.headers.getlist("x-forwarded-for") for hop in value.split(",")]
    while hops and _is_trusted(peer, proxies):
        peer = hops.pop()
    return _party(peer)


def _is_trusted(address: str, proxies: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in proxies)


def _party(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, _ONE_PARTY_BITS), strict=False))
