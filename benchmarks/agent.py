"""What an agent costs: memory, the time to start, CPU when nothing happens, and events a second to its disk and up.

    python -m benchmarks.agent [--events 20000]

The platform is `islet serve` on loopback, without TLS; figures of time depend on the disk.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from islet.clock import wall_us
from islet.gateways.claims import make_claim
from islet.model.codec import encode_event
from islet.model.events import Reading
from islet.model.people import Patient
from islet.model.time import MINUTE_US, from_us
from islet.opened import opened_registry
from islet.settings import load
from tests.platform.agent_process import AgentProcess, Sensor
from tests.platform.process import PlatformProcess

IDLE_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=20_000)
    count: int = parser.parse_args().events
    begin_s = time.perf_counter()
    subprocess.run([sys.executable, "-m", "islet.agent", "--help"], check=True, capture_output=True)
    print(f"start and --help: {time.perf_counter() - begin_s:.2f} s")
    with tempfile.TemporaryDirectory() as directory:
        measure(Path(directory), count)


def measure(directory: Path, count: int) -> None:
    (directory / "platform").mkdir()
    platform = PlatformProcess(directory / "platform")
    settings = load(None, {"ISLET_DATA_DIR": str(platform.data_dir)})
    with opened_registry(settings) as registry:
        registry.put_patient(Patient(id="anna"))
        code = make_claim(registry, "box-1", "anna", by="benchmark", now_us=wall_us())
    agent = AgentProcess(directory / "agent", platform, code)
    try:
        platform.start()
        platform.wait_until_ready()
        agent.start()
        while not agent.socket.exists():
            time.sleep(0.05)
        time.sleep(3)
        print(f"memory when it has nothing to do: {agent.rss_kb() / 1024:.1f} MB")
        before_s = agent.cpu_s()
        time.sleep(IDLE_S)
        print(f"CPU when it has nothing to do: {100 * (agent.cpu_s() - before_s) / IDLE_S:.1f} % of a core")
        feed(agent, count)
    finally:
        agent.kill()
        platform.kill()


def feed(agent: AgentProcess, count: int) -> None:
    first_us = wall_us() - (count + 60) * MINUTE_US
    lines = [
        encode_event(Reading(time=from_us(first_us + n * MINUTE_US), value=100 + n % 50, unit="mg/dL"))
        for n in range(count)
    ]
    sensor = Sensor(agent.socket, lines, together=200)
    begin_s = time.perf_counter()
    sensor.start()
    while not sensor.done:
        time.sleep(0.01)
    print(f"{count:,} events acknowledged by its disk: {count / (time.perf_counter() - begin_s):,.0f} a second")
    while agent.waiting():
        time.sleep(0.05)
    print(f"and by the platform's log: {count / (time.perf_counter() - begin_s):,.0f} a second")
    print(f"memory afterwards: {agent.rss_kb() / 1024:.1f} MB")


if __name__ == "__main__":
    main()
