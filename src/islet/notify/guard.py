"""HTTP to addresses that people enter, without becoming their way into our network.

A name is resolved once, each address it has must be public, and the connection goes to that very address: nobody can
show us one address for the check and another for the call. No redirects, no proxy of the environment, no more of an
answer than is needed. httpx logs whole addresses, which may be capabilities: those records are dropped.
"""

import logging
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Final

import httpx

from islet.model.time import SECOND_US, to_us
from islet.notify.bounded import within

TIMEOUT_S: Final = 15.0
_PORTS: Final = range(1, 65536)
_NAT64: Final = ip_network("64:ff9b::/96")
_here: Final = threading.local()

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Refused(Exception):
    """The address is one that we do not connect to; the message says why, without the address."""


class NoAnswer(Exception):
    """The other side could not be reached or did not answer as HTTP; the message is a word for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def retry_after_s(self, now_us: int) -> float:
        """The seconds that `Retry-After` asks for, as a number or a date; 0 where it does not."""
        text = self.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            until = parsedate_to_datetime(text)
            seconds = (to_us(until if until.tzinfo else until.replace(tzinfo=UTC)) - now_us) / SECOND_US
        except (ValueError, OverflowError):
            return 0.0
        return max(0.0, seconds)


class GuardedClient:
    """POSTs to public addresses over https. `allowed`: networks that are not public and may be reached all the same,
    also without TLS (a test, a server of one's own)."""

    def __init__(self, *, allowed: Sequence[str] = (), timeout_s: float = TIMEOUT_S) -> None:
        self._allowed = [ip_network(text) for text in allowed]
        self._timeout_s = timeout_s
        none_kept = httpx.Limits(max_keepalive_connections=0)  # it would be known by its address, not by the name
        self._client = httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False, limits=none_kept)
        keep_out_of_logs()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One call. Raises Refused, NoAnswer."""
        try:
            target = httpx.URL(url)
        except httpx.InvalidURL:
            raise Refused("this is no address") from None
        host = target.raw_host.decode("ascii")  # the name as DNS has it: other decoders read some names as others
        if target.userinfo or target.scheme not in ("https", "http") or not host:
            raise Refused("expected an https address without a user name")
        port = (443 if target.scheme == "https" else 80) if target.port is None else target.port
        if port not in _PORTS:
            raise Refused("expected a port of 1 to 65535")
        addresses = _resolved(host, port)
        for address in addresses:
            self._check(address, target.scheme)
        return self._first_answer(target, host, addresses, body, headers)

    def close(self) -> None:
        self._client.close()

    def _check(self, address: Address, scheme: str) -> None:
        if any(address in network for network in self._allowed if network.version == address.version):
            return
        if scheme != "https":
            raise Refused("expected an https address; http goes to networks in notify_allowed_networks alone")
        if not is_public(address):
            raise Refused("the name leads to an address that is not public, nor in notify_allowed_networks")

    def _first_answer(
        self, target: httpx.URL, host: str, addresses: Sequence[Address], body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        """From the first address that can be connected to; what may have arrived is not sent to a second one."""
        shown = {**headers, "Host": target.netloc.decode("ascii")}
        until_s = monotonic() + self._timeout_s
        for address in addresses:
            url = target.copy_with(host=str(address))
            left_s = until_s - monotonic()
            if left_s <= 0:
                raise NoAnswer("ConnectTimeout")
            try:
                return self._answer(url, body, shown, host, left_s)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                last = error
            except httpx.HTTPError as error:
                raise NoAnswer(type(error).__name__) from None
        raise NoAnswer(type(last).__name__) from None

    def _answer(self, url: httpx.URL, body: bytes, headers: Mapping[str, str], host: str, seconds: float) -> Answer:
        """The certificate is checked for the name, not for the address."""
        extensions = {"sni_hostname": host, "timeout": httpx.Timeout(seconds).as_dict()}
        with silent():
            request = self._client.build_request("POST", url, content=body, headers=headers, extensions=extensions)
            response = within(self._client, request, seconds)
        return Answer(status=response.status_code, body=response.content, headers=response.headers)


def is_public(address: Address) -> bool:
    """Whether an address is of the public internet; an IPv4 address inside of an IPv6 one counts as what it is."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _resolved(host: str, port: int) -> list[Address]:
    """The addresses of a name, or the one that it is, each once. Raises NoAnswer."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NoAnswer("the name cannot be resolved") from None
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ip_address(text) for text in texts]


# logs


class silent:  # noqa: N801  # reads as a statement: with silent():
    """Inside, this thread's records of HTTP libraries are dropped."""

    def __enter__(self) -> None:
        _here.depth = getattr(_here, "depth", 0) + 1

    def __exit__(self, *_: object) -> None:
        _here.depth -= 1


def _keep(record: logging.LogRecord) -> bool:
    return not getattr(_here, "depth", 0)


def keep_out_of_logs(*names: str) -> None:
    """Let `silent` work for these loggers and httpx's. Once is enough; more often does no harm."""
    for name in ("httpx", "httpcore.http11", "httpcore.connection", *names):
        logging.getLogger(name).addFilter(_keep)
