"""An HTTP call that ends in time and takes no more of an answer than is wanted, whatever the other side does.

httpx's timeouts begin anew with each piece that arrives: a header, or a byte of it, each few seconds would hold a
channel's thread for hours. Here the connection itself is shut when the time is over.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from time import monotonic
from typing import Any, Final

import httpx

MOST_BYTES: Final = 64 * 1024


def within(
    client: httpx.Client, request: httpx.Request, seconds: float, most_bytes: int = MOST_BYTES
) -> httpx.Response:
    """The answer, with at most so many bytes of its body, as they came (not unpacked): once there is a status, a body
    that does not end changes nothing of it. Raises httpx.HTTPError where no status came in time."""
    until_s = monotonic() + seconds
    with _shut_after(request, seconds):
        response = client.send(request, stream=True)
        taken = b""
        with suppress(httpx.HTTPError):
            for chunk in response.iter_raw():
                taken += chunk
                if len(taken) >= most_bytes or monotonic() > until_s:
                    break
        response.close()
    headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"content-encoding"]
    return httpx.Response(response.status_code, headers=headers, content=taken[:most_bytes])


@contextmanager
def _shut_after(request: httpx.Request, seconds: float) -> Iterator[None]:
    """Shuts the connection that the request makes, also in the middle of the TLS handshake."""
    handles: list[socket.socket] = []

    def made(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            handles.append(info["return_value"].get_extra_info("socket").dup())

    def shut() -> None:
        for handle in handles:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)

    request.extensions["trace"] = made
    timer = Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        for handle in handles:
            handle.close()
