"""What the platform says of its own health."""

from pathlib import Path

import httpx
from starlette.applications import Starlette

from islet.app import opened_platform
from islet.operations.routes import routes
from islet.settings import Settings


async def test_a_log_whose_last_commit_failed_makes_the_platform_unhealthy(tmp_path: Path) -> None:
    with opened_platform(Settings(data_dir=tmp_path, roles=())) as platform:
        pages = routes(platform.metrics, platform.failing, platform.starting, now=lambda: 7, speed=1.0)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(Starlette(routes=pages)), base_url="http://islet"
        ) as http:
            assert (await http.get("/healthz")).json() == {"healthy": True, "failing": []}
            platform.commit.failing = True
            answer = await http.get("/healthz")
            assert (answer.status_code, answer.json()["failing"]) == (503, ["log writer"])
        platform.commit.close()
