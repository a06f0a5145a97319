"""`/healthz`, `/readyz` and `/metrics`."""

import ipaddress
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from islet.model.time import Now
from islet.operations.metrics import CONTENT_TYPE, Metrics
from islet.operations.workers import Worker


def routes(
    metrics: Metrics, workers: Sequence[Worker], accepting: Callable[[], bool], *, now: Now, speed: float
) -> list[BaseRoute]:
    """The three pages. `accepting` tells whether the front door is open; `now` runs `speed` times as fast as life."""

    async def healthz(request: Request) -> Response:
        """200 while every worker runs; 503 names those that do not."""
        ill = [worker.name for worker in workers if not worker.alive or worker.failing]
        return JSONResponse({"healthy": not ill, "failing": ill}, status_code=503 if ill else 200)

    async def readyz(request: Request) -> Response:
        """200 once every worker has caught up with its past and the front door is open. Tells the platform's clock."""
        waiting = [worker.name for worker in workers if not worker.ready.is_set()]
        ready = not waiting and accepting()
        clock = {"now_us": now(), "speed": speed}
        return JSONResponse({"ready": ready, "waiting_for": waiting, **clock}, status_code=200 if ready else 503)

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
