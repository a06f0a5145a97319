"""`/healthz`, `/readyz` and `/metrics`."""

import ipaddress
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from islet.model.time import Now
from islet.operations.metrics import CONTENT_TYPE, Metrics

Names = Callable[[], Sequence[str]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def routes(
    metrics: Metrics, failing: Names, starting: Names, *, now: Now, speed: float, readers: Sequence[str] = ()
) -> list[BaseRoute]:
    """The three pages. `failing` names the parts that do not do their work, `starting` those that are not ready yet;
    `now` runs `speed` times as fast as life. `readers`: the networks that may read the metrics from outside."""
    networks = [ipaddress.ip_network(reader) for reader in readers]

    def healthz(request: Request) -> Response:
        """200 while every part of this process does its work; 503 names those that do not."""
        ill = failing()
        return JSONResponse({"healthy": not ill, "failing": ill}, status_code=503 if ill else 200)

    def readyz(request: Request) -> Response:
        """200 once every part has caught up with its past and the front door is open. Tells the platform's clock."""
        waiting = [*starting(), *failing()]
        clock = {"now_us": now(), "speed": speed}
        return JSONResponse(
            {"ready": not waiting, "waiting_for": waiting, **clock}, status_code=503 if waiting else 200
        )

    def prometheus(request: Request) -> Response:
        """The metrics, to this machine and the networks that were named: counts tell a stranger how many patients there
        are."""
        if not _may_read(request, networks):
            refusal = "metrics are for this machine and the networks of the setting metrics_networks\n"
            return PlainTextResponse(refusal, status_code=403)
        return Response(metrics.page(), media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", prometheus)]


def _may_read(request: Request, networks: Sequence[Network]) -> bool:
    """Whether the one who asks is on this machine or in a network, and not a proxy asking for somebody else."""
    if request.client is None or "x-forwarded-for" in request.headers:
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if address.version == 6 else None  # of a listener for both
    known = mapped or address
    return known.is_loopback or any(known in network for network in networks)
