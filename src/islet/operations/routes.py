"""`/healthz`, `/readyz` and `/metrics`."""

import ipaddress
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from islet.model.time import Now
from islet.operations.metrics import CONTENT_TYPE, Metrics

Names = Callable[[], Sequence[str]]


def routes(metrics: Metrics, failing: Names, starting: Names, *, now: Now, speed: float) -> list[BaseRoute]:
    """The three pages. `failing` names the parts that do not do their work, `starting` those that are not ready yet;
    `now` runs `speed` times as fast as life."""

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
        """The metrics, to this machine only: counts tell a stranger how many patients there are."""
        if not _local(request):
            return PlainTextResponse("metrics are served to this machine only; scrape from here\n", status_code=403)
        return Response(metrics.page(), media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", prometheus)]


def _local(request: Request) -> bool:
    """Whether the one who asks is on this machine, and not a proxy asking for somebody else."""
    if request.client is None or "x-forwarded-for" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
