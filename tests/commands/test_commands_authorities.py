"""Devices with certificates on the command line."""

from pathlib import Path

from click.testing import CliRunner

from islet.cli import main
from islet.opened import opened_registry
from islet.settings import Settings
from tests.gateways.issued import issue


def run(directory: Path, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["--data-dir", str(directory), *words])
    return result.exit_code, result.output


def test_an_authority_is_trusted_listed_and_removed(tmp_path: Path) -> None:
    root, leaf = tmp_path / "root.pem", tmp_path / "leaf.der"
    root.write_bytes(issue("Factory", authority=True).pem)
    leaf.write_bytes(issue("cgm-1").der)
    code, thumbprint = run(tmp_path, "authorities", "add", "factory", str(root))
    assert (code, len(thumbprint.strip())) == (0, 64)
    assert run(tmp_path, "authorities", "list") == (0, f"factory\t{thumbprint}")
    assert run(tmp_path, "authorities", "remove", "factory")[0] == 0
    assert run(tmp_path, "authorities", "list") == (0, "")
    assert run(tmp_path, "authorities", "remove", "factory")[0] == 1
    assert "expected an authority's" in run(tmp_path, "authorities", "add", "leaf", str(leaf))[1]


def test_a_device_is_registered_by_its_thumbprint_or_for_an_authority(tmp_path: Path) -> None:
    sha1 = issue("cgm-1").sha1
    assert run(tmp_path, "devices", "add", "cgm-1", "--thumbprint", sha1) == (
        0,
        "HostName=localhost;DeviceId=cgm-1;x509=true\n",
    )
    assert run(tmp_path, "devices", "add", "cgm-2", "--signed")[0] == 0
    assert run(tmp_path, "devices", "add", "cgm-3", "--thumbprint", "short")[0] == 1
    assert run(tmp_path, "devices", "add", "cgm-3", "--signed", "--thumbprint", sha1)[0] == 2
    with opened_registry(Settings(data_dir=tmp_path)) as registry:
        found = {one.id: (one.authentication, one.primary_thumbprint, one.primary_key) for one in registry.devices()}
    assert found == {"cgm-1": ("selfSigned", sha1.upper(), ""), "cgm-2": ("certificateAuthority", "", "")}
