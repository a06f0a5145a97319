"""The files in deploy/ are valid: against the schemas of Kubernetes and Compose, and against our own settings."""

import re
from collections.abc import Iterator
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from islet.cli import main
from islet.settings import Settings, load
from tests.conftest import Missing

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
KUBERNETES = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.stem != "kustomization")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def containers() -> Iterator[dict[str, Any]]:
    for path in KUBERNETES:
        for document in documents(path):
            if document["kind"] == "Deployment":
                yield from document["spec"]["template"]["spec"]["containers"]


def environments() -> Iterator[dict[str, str]]:
    """What each process is given, without what is secret."""
    for service in COMPOSE["services"].values():
        given = {name: value for name, value in service["environment"].items() if name.startswith("ISLET_")}
        yield {name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value) for name, value in given.items()}
    (shared,) = documents(DEPLOY / "kubernetes" / "settings.yaml")
    for container in containers():
        yield shared["data"] | {item["name"]: item["value"] for item in container.get("env", [])}


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.stem)
def test_kubernetes_knows_every_field(path: Path, missing: Missing) -> None:
    if find_spec("kubernetes_validate") is None:
        missing("kubernetes-validate")
    import kubernetes_validate

    for document in documents(path):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_compose_knows_every_field(missing: Missing) -> None:
    if find_spec("compose_spec") is None:
        missing("compose-spec")
    from compose_spec import ComposeSpecification, Service

    given = {name: part for name, part in COMPOSE.items() if not name.startswith("x-")}
    ComposeSpecification.model_validate(given)  # which passes over names that it does not know
    assert given.keys() <= ComposeSpecification.model_fields.keys()
    for service in given["services"].values():
        assert service.keys() <= Service.model_fields.keys()


def test_every_manifest_is_in_the_kustomization_but_the_alternative() -> None:
    (kustomization,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in KUBERNETES if path.stem != "spark"]


def test_what_is_set_are_settings_of_ours_with_values_that_are_allowed() -> None:
    known = {f"ISLET_{setting.name.upper()}" for setting in fields(Settings)} | {"ISLET_KEY"}
    for environment in environments():
        assert environment.keys() <= known
        load(None, environment)


def test_what_is_called_are_commands_of_ours() -> None:
    called = [service["command"] for name, service in COMPOSE["services"].items() if name != "kafka"]
    called += [container["args"] for container in containers()]
    for command in called:
        names = [word for word in command[:2] if not word.startswith("-")]
        assert main.get_command(None, names[0]) is not None, names  # type: ignore[arg-type]
        if names[0] == "serve":
            (roles,) = [word for word in command if word not in ("serve", "--roles")]
            load(None, {"ISLET_ROLES": roles})


def test_the_image_has_what_reports_need_of_the_system() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert set(re.findall(r"^ARG EXTRAS=(.*)$", text, re.M)) == {"kafka,reports"}, "the two stages differ"
    guide = (DEPLOY.parent / "docs" / "how-to" / "reports.md").read_text()
    (needed,) = re.findall(r"apt install ([^`]+)`", guide)
    assert set(needed.split()) <= set(re.findall(r"[\w.-]+", text))


def test_every_volume_network_and_label_that_is_named_is_there() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
    everything = [document for path in KUBERNETES for document in documents(path)]
    claims = {one["metadata"]["name"] for one in everything if one["kind"] == "PersistentVolumeClaim"}
    pods = [one["spec"]["template"] for one in everything if one["kind"] == "Deployment"]
    for pod in pods:
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for volume in volumes.values():
            assert volume.get("persistentVolumeClaim", {"claimName": "data"})["claimName"] in claims
        for mount in pod["spec"]["containers"][0]["volumeMounts"]:
            assert mount["name"] in volumes
    for service in (one for one in everything if one["kind"] == "Service"):
        chosen = [pod for pod in pods if service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()]
        ports = {port["name"] for pod in chosen for port in pod["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_no_secret_is_written_down() -> None:
    for path in [*KUBERNETES, DEPLOY / "compose.yaml"]:
        for line in path.read_text().splitlines():
            if re.search(r"(KEY|PASSWORD|TOKEN)\b.*: ", line) and not line.lstrip().startswith("#"):
                assert "${" in line, f"{path.name}: {line}"
