"""`islet alarms`: who is told of whose alarms, how each of them is reached, and what became of it."""

import sys
from typing import BinaryIO, Final

import click
import msgspec

from islet.channels import Channels
from islet.clock import wall_us
from islet.commands.acting import who
from islet.contacts.book import EVERYONE, ContactBook
from islet.engine.rulebook import RuleBook
from islet.errors import BadInput, NotFound
from islet.model.time import iso
from islet.notify.policy import Policy
from islet.notify.recipients import Contact, Lane
from islet.opened import opened_outbox, opened_registry
from islet.settings import Settings
from islet.web.languages import words

_BY: Final = click.option("--by", help="For whom you do this; the trail names them beside your account.")
_PATIENT: Final = click.option(
    "--patient", metavar="ID", help="Of this patient; else of all who have none of their own."
)
_CHANNELS: Final = click.Choice(["telegram", "email", "ntfy", "webhook", "apprise"])
_NO: Final = "-"


@click.group()
def alarms() -> None:
    """Who is told of alarms: policies, contacts, and whether messages arrive."""


@alarms.command("policy")
@_PATIENT
@click.option("--reset", is_flag=True, help="Take the policy away; the one for everybody, or ours, holds again.")
@click.option("--set", "file", type=click.File("rb"), metavar="FILE", help="Put this policy (JSON) in its place.")
@_BY
@click.pass_obj
def policy(settings: Settings, patient: str | None, reset: bool, file: BinaryIO | None, by: str | None) -> None:
    """Show a policy as JSON, or put another in its place; one that leaves nobody woken is refused."""
    if reset and file is not None:
        raise click.UsageError("--set or --reset, not both")
    of = EVERYONE if patient is None else patient
    with opened_registry(settings) as registry:
        book = ContactBook(registry, wall_us)
        if patient is not None and registry.patient(patient) is None:
            raise NotFound(f"there is no patient {patient!r}; `islet patients list` shows all")
        if reset or file is not None:
            rules = [rule.name for rule in RuleBook(registry).current().plan.rules]
            given = None if file is None else _policy(file.read())
            book.set_policy(of, given, rules=rules, by=who(by), at_us=wall_us())
        in_force = book.policy(of)[0]
    click.echo(msgspec.json.format(msgspec.json.encode(in_force), indent=2).decode())


@alarms.command("contacts")
@click.option("--user", help="Only this user's.")
@click.pass_obj
def contacts(settings: Settings, user: str | None) -> None:
    """Channel, id, user, consent, and whether it is used. Never the address."""
    with opened_registry(settings) as registry:
        for one in sorted(ContactBook(registry, wall_us).everybody(), key=lambda contact: contact.lane):
            if user in (None, one.user):
                click.echo("\t".join((one.channel, one.id, one.user or _NO, _consent(one), _state(one))))


@alarms.command("add-contact")
@click.argument("channel", type=_CHANNELS)
@click.argument("id")
@click.option("--user", default="", help="Whose it is; without, it belongs to the installation (a ward's chat).")
@click.option(
    "--address", help="A chat, a mailbox, a topic, a URL, or a webhook's JSON; asked for when it is not given."
)
@click.option("--shows-name/--no-name", default=False, help="Its person has agreed to names in messages.")
@click.option("--shows-value/--no-value", default=False, help="Its person has agreed to glucose values in messages.")
@click.option("--time-zone", default="UTC", show_default=True, help="By whose day the monthly test comes.")
@_BY
@click.pass_obj
def add_contact(
    settings: Settings,
    channel: str,
    id: str,
    user: str,
    address: str | None,
    shows_name: bool,
    shows_value: bool,
    time_zone: str,
    by: str | None,
) -> None:
    """Add a way to reach somebody, or change it. A webhook's address is {"url": "https://…", "secrets": ["whsec_…"]}."""
    if address is None:
        address = click.prompt("Address", hide_input=True)
    contact = Contact(
        id=id,
        channel=channel,
        address=address.strip(),
        user=user,
        shows_name=shows_name,
        shows_value=shows_value,
        time_zone=time_zone,
    )
    with opened_registry(settings) as registry:
        channels = Channels(settings, registry, lambda language, text: words(language).text(text), console=False)
        try:
            channels.check(contact)
        finally:
            channels.close()
        ContactBook(registry, wall_us, channels.installation).put(contact, by=who(by), at_us=wall_us())
    click.echo(f"{channel} {id} is used; `islet alarms test {channel} {id}` sends a test")


@alarms.command("remove-contact")
@click.argument("channel")
@click.argument("id")
@_BY
@click.pass_obj
def remove_contact(settings: Settings, channel: str, id: str, by: str | None) -> None:
    """Forget a contact and its address."""
    with opened_registry(settings) as registry:
        ContactBook(registry, wall_us).remove(Lane(channel, id), by=who(by), at_us=wall_us())
    click.echo(f"{channel} {id} is forgotten")


@alarms.command("test")
@click.argument("channel")
@click.argument("id")
@click.pass_obj
def test(settings: Settings, channel: str, id: str) -> None:
    """Queue a message that says it is a test; the platform sends it."""
    with opened_registry(settings) as registry, opened_outbox(settings) as box:
        contact = ContactBook(registry, wall_us).contact(Lane(channel, id))
        if contact is None:
            raise NotFound("there is no such contact; `islet alarms contacts` shows all")
        box.test(contact, wall_us())
    click.echo("a test is queued; `islet alarms status` shows whether it arrived")


@alarms.command("status")
@click.pass_obj
def status(settings: Settings) -> None:
    """What waits, what could not be delivered, and when each recipient was last reached; exit code 1 when one fails."""
    with opened_outbox(settings) as box:
        click.echo(", ".join(f"{state} {count}" for state, count in box.counts().items()))
        health = box.health()
        for one in health:
            state = f"fails ({one.reason})" if one.failures else "works"
            last = iso(one.succeeded_us)[:16] if one.succeeded_us else "never"
            click.echo(f"{one.channel}\t{one.recipient}\tlast delivered {last}\t{state}")
        for given in box.undeliverable(20):
            click.echo(
                f"undeliverable\t{iso(given.given_up_us)[:16]}\t{given.channel} {given.recipient}\t{given.reason}"
            )
    sys.exit(1 if any(one.failures for one in health) else 0)


def _policy(body: bytes) -> Policy:
    try:
        return msgspec.json.decode(body, type=Policy)
    except msgspec.DecodeError as error:
        raise BadInput(f"policy: {error}", reason="policy") from None


def _consent(one: Contact) -> str:
    shown = [name for name, shows in (("name", one.shows_name), ("value", one.shows_value)) if shows]
    return "+".join(shown) or _NO


def _state(one: Contact) -> str:
    return "used" if one.enabled else f"switched off: {one.disabled_reason}"
