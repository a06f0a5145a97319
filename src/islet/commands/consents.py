"""`islet permissions consents` and `consent`: what patients have said of those who follow them."""

import click

from islet.clock import wall_us
from islet.commands.acting import who
from islet.commands.people import with_registry
from islet.model.permissions import Consent
from islet.model.time import iso
from islet.store.base import Registry
from islet.store.consents import Following, followings, set_consent_on_paper


@click.command("consents")
@with_registry
def list_consents(registry: Registry) -> None:
    """Who follows whom or wants to: care partner, patient, asked or given or refused, since when, by whom."""
    for one in followings(registry):
        click.echo(f"{one.user.name}\t{one.patient}\t{one.state}\t{_said(one)}")


@click.command("consent")
@click.argument("care_partner")
@click.argument("patient")
@click.option("--withdraw", is_flag=True, help="The patient withdraws it.")
@click.option("--signed-by", required=True, help="Whose signature it is, as: Eva Example, mother.")
@click.option("--on", "signed_on", required=True, help="The day of the signature, as 2026-03-03.")
@with_registry
def enter_consent(
    registry: Registry, care_partner: str, patient: str, withdraw: bool, signed_by: str, signed_on: str
) -> None:
    """Enter a word on paper on whether a care partner may follow a patient; who has an account gives it there."""
    said = Consent(
        user=care_partner,
        patient=patient,
        given=not withdraw,
        at_us=wall_us(),
        by=who(None),
        signed_by=signed_by,
        signed_on=signed_on,
    )
    set_consent_on_paper(registry, said)
    click.echo(f"{care_partner} {'may no longer follow' if withdraw else 'may follow'} {patient}")


def _said(one: Following) -> str:
    if one.said is None:
        return "-\t-\t-"
    paper = f"on paper: {one.said.signed_by}, {one.said.signed_on}" if one.said.signed_on else "-"
    kept = "kept from before patients were asked"
    return f"{iso(one.said.at_us)}\t{one.said.by}\t{kept if one.said.earlier else paper}"
