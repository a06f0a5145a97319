"""What the platform says of its own health."""

import socket
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from islet.app import opened_platform
from islet.errors import CannotListen, SettingError
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


async def test_where_a_port_is_taken_the_platform_says_so_and_ends_with_all_its_workers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(data_dir=tmp_path, mqtt_tls_port=port, https_port=0, log_level="error")
        with opened_platform(settings) as platform:
            with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: Address already in use; `islet check`"):
                await platform.run()
            assert [worker.name for worker in platform.workers if worker.alive] == []


def test_a_data_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingError, match="data_dir: expected a folder"), opened_platform(Settings(data_dir=file)):
        pass
