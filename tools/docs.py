"""The reference pages of the documentation, made from the code. `python -m tools.docs`; `--check` fails when stale.

Each page is a function that returns Markdown. What stands in code as a docstring, a table or a front matter is
written there once and only shown here.
"""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from islet import errors
from islet.access.decide import Action, decide
from islet.access.doors import DOORS, Credential, Door, Open
from islet.cli import main as command_line
from islet.engine.rules import Rule, load_rules
from islet.menu import PLUGS
from islet.model.alerts import Severity
from islet.model.batch import RECEIVED, schema_of
from islet.model.codec import json_schema
from islet.model.people import Kind, Principal, Role
from islet.model.topics import TOPIC_OF_TYPE, Topic
from islet.settings import Settings

REFERENCE: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"
_MADE: Final = "<!-- Made by `make docs`. Change the code it is made from, not this page. -->\n\n"
_HELP_COLUMNS: Final = 100
_RIGHTS: Final = ("RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect")


def settings() -> str:
    """Every setting: default, unit, sentence."""
    rows = []
    for setting in fields(Settings):
        default = ", ".join(setting.default) if isinstance(setting.default, tuple) else str(setting.default)
        rows.append((f"`{setting.name}`", _code(default), setting.metadata["unit"], setting.metadata["sentence"]))
    return (
        "# Settings\n\nRead from a TOML file (`islet --settings FILE`), then from the environment: `ISLET_` and the name "
        "in capitals, which wins.\n`islet settings` prints those in force.\n\n"
        + _table(("Name", "Default", "Unit", "Meaning"), rows)
    )


def events() -> str:
    """Every kind of event with its fields, from the JSON Schema."""
    schema = schema_document()
    parts = [
        "# Events\n\nOne JSON object is one event of one patient. The machine-readable form is "
        "[event.schema.json](event.schema.json), which a running platform serves at `/schema/event.json`.\n"
    ]
    for kind, reference in schema["discriminator"]["mapping"].items():
        one = schema["$defs"][reference.rsplit("/", 1)[1]]
        rows = [
            (f"`{name}`", _type(of), "required" if name in one["required"] else _default(of))
            for name, of in one["properties"].items()
        ]
        topic = TOPIC_OF_TYPE[kind]
        heading = f"## {kind}\n\n{one['description']} Topic [`{topic}`](topics.md#{topic}).\n\n"
        parts.append(heading + _table(("Field", "Value", "Default"), rows))
    return "\n".join(parts)


def rules() -> str:
    """Every shipped rule, from its front matter, with its SQL."""
    head = (
        "# Rules\n\nA rule is a file in `src/islet/rules/`: a front matter and one SELECT. "
        "[How to add one](../how-to/add-a-rule.md).\n\n"
    )
    found = load_rules()
    return "\n".join(
        [head + _table(("Rule", "Severity", "Looks at", "Defaults"), map(_default_of, found)), *map(_rule, found)]
    )


def _default_of(rule: Rule) -> tuple[str, str, str, str]:
    """A rule on one line."""
    defaults = ", ".join(f"{p.label or name} {p.default:g} {p.unit}".rstrip() for name, p in rule.parameters.items())
    return f"[{rule.name}](#{rule.name})", rule.severity, _whom(rule), defaults


def _whom(rule: Rule) -> str:
    looks_at = {"all": "all patients", "nobody": "nobody until it is switched on"}
    return looks_at.get(rule.enabled) or f"patients tagged {rule.enabled.removeprefix('tags:')}"


def _rule(rule: Rule) -> str:
    sql = rule.sql.split("*/", 1)[1].strip()
    facts = [
        ("Title", rule.title),
        *((("What", rule.description),) if rule.description else ()),
        ("Severity", str(rule.severity)),
        ("Looks at", _whom(rule)),
        ("For", ", ".join(rule.audience)),
        ("Can be switched off by", rule.switch_off),
        ("Asked every" if rule.every else "Ends", rule.every or _ending(rule)),
        *((("Told after", rule.sustained),) if rule.sustained else ()),
        *((("When it gets worse", f"[{rule.worsens}](#{rule.worsens})"),) if rule.worsens else ()),
        *(("Source", source) for source in rule.sources),
    ]
    lines = "".join(f"- {name}: {value}\n" for name, value in facts)
    rows = [
        (f"`{name}`", p.label, f"{p.default:g}", f"{p.min:g} to {p.max:g}", p.unit)
        for name, p in rule.parameters.items()
    ]
    table = "\n" + _table(("Parameter", "What", "Default", "Range", "Unit"), rows) if rows else ""
    return f"## {rule.name}\n\n{lines}{table}\n```sql\n{sql}\n```\n"


def _ending(rule: Rule) -> str:
    return _code(rule.clear) if rule.clear else "when its condition is false"


def topics() -> str:
    """Every topic, what goes into it, and its columns."""
    parts = [
        "# Topics\n\nThe log's streams. An entry's partition is CRC-32 of the patient id, modulo the setting "
        "`partitions`. Times are microseconds since 1970-01-01 UTC.\n"
    ]
    for topic in Topic:
        kinds = [kind for kind, of in TOPIC_OF_TYPE.items() if of is topic] or _WRITTEN_BY_US[topic]
        columns = [(f"`{f.name}`", str(f.type)) for f in [*schema_of(topic), RECEIVED]]
        parts.append(f"## {topic}\n\nHolds: {', '.join(kinds)}.\n\n{_table(('Column', 'Arrow type'), columns)}")
    return "\n".join(parts)


_WRITTEN_BY_US: Final[Mapping[Topic, list[str]]] = {
    Topic.ALERTS: ["alert changes (opened, cleared, retracted, acknowledged)"],
    Topic.DEAD_LETTERS: ["what could not be understood, with the reason as its `type`"],
    Topic.DEVICE_MESSAGES: [
        "messages as devices sent them, and changes of twins, while `event_hub` is on; not in the store"
    ],
}


def cli() -> str:
    """The help text of every command."""
    parts = ["# Command line\n"]
    for context in _contexts(command_line, "islet", None):
        parts.append(f"## {context.command_path}\n\n```text\n{context.get_help().strip()}\n```\n")
    return "\n".join(parts)


def _contexts(command: click.Command, name: str, parent: click.Context | None) -> Iterable[click.Context]:
    """The command's context, then those of its subcommands; the width is fixed, whatever the terminal's."""
    settings = {**command.context_settings, "terminal_width": _HELP_COLUMNS}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context
    if isinstance(command, click.Group):
        for subcommand in sorted(command.list_commands(context)):
            found = command.get_command(context, subcommand)
            assert found is not None, subcommand
            yield from _contexts(found, subcommand, context)


def error_tree() -> str:
    """Every error with its meaning."""
    rows = [
        (f"`{name}`", f"`{cls.__base__.__name__}`" if cls.__base__ else "", _sentence(cls))
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.IsletError)
    ]
    return f"# Errors\n\n{inspect.getdoc(errors)}\n\n" + _table(("Error", "Is a", "Meaning"), rows)


def plugs() -> str:
    """Every plug by kind and name."""
    rows = []
    for kind, names in PLUGS.items():
        for name, target in names.items():
            module, attribute = target.split(":")
            rows.append((kind, f"`{name}`", f"`{target}`", _sentence(getattr(import_module(module), attribute))))
    return "# Plugs\n\nWhat can be exchanged, by kind and name; a line each in `src/islet/menu.py`.\n\n" + _table(
        ("Kind", "Name", "Where", "What"), rows
    )


def access() -> str:
    """Who may do what: the answers of `decide()` itself."""
    people = {
        str(role): Principal(kind=Kind.USER, role=role, name="x", patients=("own",), consents={"own": True})
        for role in Role
    }
    hub = {right: Principal(kind=Kind.SERVICE, name="x", rights=(right,)) for right in _RIGHTS}
    return (
        "# Access\n\nThe answers of `islet.access.decide.decide` to each question. Own: only for patients assigned to "
        "the one who asks, to\na care partner with the patient's consent.\nThis is what comes with a role or a hub policy. What is granted or refused besides "
        "([how](../how-to/give-access.md)) is asked before it.\n\n## People, applications, devices\n\n"
        + _matrix(people)
        + "\n## Rights of hub policies (SAS tokens)\n\n"
        + _matrix(hub)
        + _doors(people, hub)
    )


def _doors(people: Mapping[str, Principal], hub: Mapping[str, Principal]) -> str:
    """Every door, and whom it opens for."""
    parts = [
        "\n## Doors\n\nEvery address that answers, and what one has to be allowed there. A test tries each of them as "
        "everybody, and fails where one is missing here.\n"
    ]
    for title, many in DOORS.items():
        columns: Mapping[str, Principal] = {name: one for name, one in people.items() if one.role is not Role.DEVICE}
        if all(door.credential is not Credential.PORTAL for door in many):
            columns = {}
        if not columns and any(door.credential is Credential.HUB for door in many):
            columns = hub
        rows = [
            (f"`{door.protocol} {door.method} {door.address}`", str(door.needs), *_through(door, columns))
            for door in many
        ]
        parts.append(f"\n### {title}\n\n" + _table(("Door", "Needs", *columns), rows))
    return "".join(parts)


def _through(door: Door, principals: Mapping[str, Principal]) -> Iterable[str]:
    for principal in principals.values():
        if not isinstance(door.needs, Action):
            yield "yes" if door.needs is not Open.KEY or principal.role is Role.APPLICATION else "–"
        elif door.about:
            yield _answer(principal, door.needs)
        else:
            yield "yes" if decide(principal, door.needs).allowed else "–"


def _matrix(principals: Mapping[str, Principal]) -> str:
    rows = [(f"`{action}`", *(_answer(p, action) for p in principals.values())) for action in Action]
    return _table(("Action", *principals), rows)


def _answer(principal: Principal, action: Action) -> str:
    if decide(principal, action, "another").allowed:
        return "yes"
    return "own" if decide(principal, action, "own").allowed else "–"


def index() -> str:
    """The list of the reference pages."""
    lines = [f"- [{name}]({name}): {_sentence(page).removesuffix('.')}\n" for name, page in PAGES.items()]
    severities = ", ".join(Severity)
    return f"# Reference\n\nMade from the code. Severities, most urgent first: {severities}.\n\n{''.join(lines)}"


def schema_document() -> dict[str, Any]:
    """The JSON Schema of an event, as one object."""
    schema: dict[str, Any] = json.loads(json.dumps(json_schema()), object_hook=_on_one_line)
    return schema


def _on_one_line(part: dict[str, Any]) -> dict[str, Any]:
    """Descriptions come from docstrings, whose indentation depends on the version of Python."""
    if isinstance(part.get("description"), str):
        part["description"] = " ".join(part["description"].split())
    return part


PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings,
    "events.md": events,
    "rules.md": rules,
    "topics.md": topics,
    "cli.md": cli,
    "errors.md": error_tree,
    "plugs.md": plugs,
    "access.md": access,
}


def documents() -> dict[str, str]:
    """File name and content of all that is made."""
    made = {name: _MADE + page() for name, page in {**PAGES, "README.md": index}.items()}
    return {**made, "event.schema.json": json.dumps(schema_document(), indent=2) + "\n"}


def stale(folder: Path = REFERENCE) -> list[str]:
    """Files in the folder that are missing, differ from what the code says, or should not be there."""
    made = documents()
    there = {path.name for path in folder.iterdir()}
    differ = [n for n, text in made.items() if n not in there or (folder / n).read_text(encoding="utf-8") != text]
    return sorted([*differ, *(there - set(made))])


def write(folder: Path = REFERENCE) -> None:
    """Write all pages."""
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")


def _type(of: Mapping[str, Any]) -> str:
    """A field's type and limits in words."""
    if "anyOf" in of:
        return " or ".join(_type(part) for part in of["anyOf"])
    if "enum" in of:
        return ", ".join(_code(json.dumps(value)) for value in of["enum"])
    words = [{"string": "text", "null": "`null`"}.get(of["type"], of["type"])]
    limits = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "maxLength": "at most "}
    words += [f"{sign}{of[limit]:g}" for limit, sign in limits.items() if limit in of]
    if "pattern" in of:
        words.append(_code(of["pattern"]))
    return ", ".join(words) + (f": {of['description']}" if "description" in of else "")


def _default(of: Mapping[str, Any]) -> str:
    return _code(json.dumps(of["default"])) if "default" in of else "may be left out"


def _sentence(thing: object) -> str:
    """The first sentence of a docstring, on one line."""
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", text)[0]


def _code(text: str) -> str:
    return f"`{text}`" if text else "empty"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    if parser.parse_args().check:
        for name in (old := stale()):
            print(f"docs/reference/{name} is stale; run `make docs`", file=sys.stderr)
        return 1 if old else 0
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
