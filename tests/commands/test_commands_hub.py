"""The hub policies' keys on the command line."""

from pathlib import Path

from click.testing import CliRunner

from islet.access.sas import parse_connection_string
from islet.cli import main


def run(directory: Path, words: str) -> list[str]:
    result = CliRunner().invoke(main, ["--data-dir", str(directory), *words.split()])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def key(directory: Path, words: str) -> str:
    (line,) = run(directory, words)
    return parse_connection_string(line).key


def test_a_policy_has_two_keys_and_each_is_renewed_alone(tmp_path: Path) -> None:
    primary = key(tmp_path, "hub connection-string service")
    secondary = key(tmp_path, "hub connection-string service --secondary")
    renewed = key(tmp_path, "hub renew service primary")
    assert len({primary, secondary, renewed}) == 3
    assert key(tmp_path, "hub connection-string service") == renewed
    assert key(tmp_path, "hub connection-string service --secondary") == secondary
    listed = {line.split("\t")[0]: line.split("\t")[1:] for line in run(tmp_path, "hub policies")}
    assert listed["device"] == ["DeviceConnect", "-", "-"]
    rights, at, never = listed["service"]
    assert (rights, never) == ("ServiceConnect", "-") and at.endswith("Z")
    trail = run(tmp_path, "audit list --kind hub_policy --values")
    assert "added\thub_policy service" in trail[0]
    assert not any(renewed in line for line in trail)
