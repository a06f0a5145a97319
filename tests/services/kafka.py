"""A real Kafka for tests: one node in KRaft mode on free loopback ports, in a folder that is thrown away."""

import base64
import secrets
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep

from tests.services.jars import fetched

_HEAP = "-Xmx384m"
_START_S = 60.0
_PROPERTIES = """
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}{listeners}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={folder}/data
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""
_LOGGING = """
status = error
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {folder}/kafka.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c %m%n
"""


class Kafka:
    """A broker that runs; `bootstrap` is its address."""

    def __init__(self, folder: Path, *, more: str = "", listeners: str = "", users: Sequence[str] = ()) -> None:
        """`more`: further lines of its properties. `listeners`: further ones, with commas before them. `users`: SCRAM
        users, as `kafka-storage format --add-scram` takes them."""
        self._folder = folder
        broker, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{broker}"
        self._address = ("127.0.0.1", broker)
        self._properties = folder / "server.properties"
        text = _PROPERTIES.format(broker=broker, controller=controller, folder=folder, listeners=listeners)
        self._properties.write_text(text + more)
        (folder / "log4j2.properties").write_text(_LOGGING.format(folder=folder))
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        subprocess.run(self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self._properties),
                                  *(word for user in users for word in ("--add-scram", user))),
                       check=True, stdout=subprocess.DEVNULL, timeout=_START_S)  # fmt: skip
        self.start()

    def start(self) -> None:
        """Run it (again), with what its folder holds; returns when it answers."""
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._properties)), stdout=output, stderr=subprocess.STDOUT
            )
        until = monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or monotonic() > until:
                raise RuntimeError(f"Kafka does not start:\n{(self._folder / 'output').read_text()[-2000:]}")
            sleep(0.05)

    def stop(self, *, kill: bool = False) -> None:
        """End it and wait for that."""
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        try:
            self._process.wait(20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20.0)

    def pause(self) -> None:
        """Have it answer nobody until it goes on."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(self._address, 1.0):
                return True
        except OSError:
            return False

    def _java(self, *arguments: str) -> list[str]:
        return ["java", _HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                f"-Dlog4j2.configurationFile={self._folder}/log4j2.properties",
                "-cp", f"{fetched()}/*", *arguments]  # fmt: skip


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
