"""Devices that Islet itself plays (simulated and replayed people): their registration, and where they connect."""

from islet.access.sas import ConnectionString
from islet.agent.mqtt_client import Address
from islet.app import wall_us
from islet.gateways.authenticate import new_device
from islet.gateways.certificates import client_ssl_context, ensure_certificates
from islet.model.people import Patient
from islet.settings import Settings
from islet.store.base import Registry


def ensure_worn(registry: Registry, patient: Patient, device: str, hub_name: str) -> ConnectionString:
    """The credentials of a patient's device; both are made where they are not there."""
    if registry.patient(patient.id) is None:
        registry.put_patient(patient)
    known = registry.device(device)
    if known is None:
        known = new_device(device, wall_us(), patient.id)
        registry.create_device(known)
    return ConnectionString(host=hub_name, device=known.id, key=known.primary_key)


def front_door(settings: Settings) -> Address:
    """Where devices on this machine find the platform of these settings, and whom they trust."""
    paths = ensure_certificates(settings.data_dir, settings.hub_name, wall_us())
    return Address(host=settings.hub_name, port=settings.mqtt_tls_port, tls=client_ssl_context(paths.authority))
