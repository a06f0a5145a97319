"""The Java archives of the services: fetched once from Maven Central into build/jars, by Maven."""

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

_POM = Path(__file__).with_name("pom.xml")
_FOLDER = Path(__file__).resolve().parents[2] / "build" / "jars"
_SPARK = ("spark-sql-kafka", "spark-token-provider-kafka", "kafka-clients", "commons-pool2")


def lacking() -> str:
    """What this machine has not, of what the services need; empty when there is everything."""
    if shutil.which("java") is None:
        return "java (17 or newer)"
    return "" if _done().exists() or shutil.which("mvn") else "mvn (or build/jars, filled by it)"


def fetched() -> Path:
    """The folder with all archives; fetches them when the list of them has changed."""
    if not _done().exists():
        shutil.rmtree(_FOLDER, ignore_errors=True)
        command = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={_FOLDER}"]
        subprocess.run([*command, "-DincludeScope=runtime"], check=True, timeout=600, stdout=subprocess.DEVNULL)
        _done().touch()
    return _FOLDER


def of_spark() -> list[Path]:
    """The archives that Spark needs to read and write Kafka."""
    return sorted(path for path in fetched().glob("*.jar") if path.name.startswith(_SPARK))


def _done() -> Path:
    return _FOLDER / f"{sha256(_POM.read_bytes()).hexdigest()[:16]}.complete"
