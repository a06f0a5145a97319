"""Who is at the door: tokens of devices and hub policies against the registry."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping

from msgspec import structs

from islet.access.decide import EVERYBODY, Action, Decision, decide
from islet.access.sas import Admission, admit, new_key
from islet.access.x509 import PeerCertificate, admit_certificate
from islet.decode.iothub import Identity, parse_identity
from islet.errors import AccessDenied, BadInput, NotFound, ProtocolError
from islet.gateways.authorities import read_authorities
from islet.gateways.trail import Trail
from islet.model.people import Device, Kind, Principal
from islet.model.time import Now
from islet.store.base import Registry
from islet.store.devices_base import Address, Module, Modules
from islet.store.hub_policies import policy_keys
from islet.store.principals import Principals


def new_device(id: str, now_us: int, patient: str = "") -> Device:
    """A device with keys of its own, not yet registered. The generation tells it from an earlier one of that id."""
    return Device(
        id=id,
        patient=patient,
        generation_id=str(secrets.randbelow(10**18)),
        etag=secrets.token_urlsafe(9),
        primary_key=new_key(),
        secondary_key=new_key(),
        created_us=now_us,
    )


def with_certificate(device: Device, thumbprint: str) -> Device:
    """The device without keys: it comes with the certificate of that thumbprint, or ("") one of an authority."""
    return structs.replace(
        device,
        authentication="selfSigned" if thumbprint else "certificateAuthority",
        primary_key="",
        secondary_key="",
        primary_thumbprint=thumbprint,
        secondary_thumbprint="",
    )


TurnAway = Callable[[str, str, str], None]
"""Told of each one who is refused for their credential: the door, who they say they are, the address ("": unknown)."""


class Authenticator:
    """Checks tokens for the hub `hub_name`; `wall_now` is the wall's clock, which tokens are dated by.

    Devices are kept in memory until the registry's version changes. All methods but `look_up` belong to one thread.
    Doors tell `turned_away` whom they refuse.
    """

    def __init__(
        self,
        registry: Registry,
        hub_name: str,
        wall_now: Now,
        modules: Modules | None = None,
        turned_away: TurnAway = lambda door, name, address: None,
    ) -> None:
        self.hub_name = hub_name
        self.wall_now = wall_now
        self.turned_away = turned_away
        self.trail = Trail(registry, wall_now)
        self._registry = registry
        self._modules = modules
        self._principals = Principals(registry)
        self._version = self._authorities_version = -1
        self._modules_version = 0
        self._authorities: Mapping[str, bytes] = {}
        self._devices: dict[str, Device] = {}

    @property
    def version(self) -> tuple[int, int, int]:
        """Another one whenever what was found here may have changed, or a permission has expired."""
        return *self._principals.epoch(self.wall_now()), self._modules_version

    def modules_changed(self) -> None:
        """A module was made, changed or removed."""
        self._modules_version += 1

    def note(self, action: str, kind: str, id: str, by: str) -> None:
        """A line of the audit trail. From any thread."""
        self._registry.note(action, kind, id, by=by, at_us=self.wall_now())

    def device(self, id: str) -> Device | None:
        """The registered device of that id; None when there is none."""
        version = self._registry.version
        if version != self._version:
            self._devices = {}
            self._version = version
        device = self._devices.get(id)
        if device is None:
            device = self._registry.device(id)
            if device is not None:
                self._devices[id] = device
        return device

    def patient_of(self, id: str) -> str:
        """The patient that the device belongs to; "" where it belongs to nobody, or there is none."""
        device = self.device(id)
        return "" if device is None else device.patient

    def look_up(self, ids: Iterable[str]) -> dict[str, Device | None]:
        """The devices of those ids as the registry has them now, None where there is none, or one that may not send. From
        any thread."""
        found = {id: self._registry.device(id) for id in ids}
        return {id: device if device is not None and self.may_send(device) else None for id, device in found.items()}

    def knows_certificate(self, thumbprints: Iterable[str]) -> bool:
        """Whether a device is registered with one of these thumbprints."""
        return any(self._registry.knows_thumbprint(one) for one in thumbprints)

    def authorities(self) -> Mapping[str, bytes]:
        """The certificates (DER) of those who may sign devices', by SHA-256 thumbprint."""
        version = self._registry.version
        if version != self._authorities_version:
            self._authorities = read_authorities(self._registry)
            self._authorities_version = version
        return self._authorities

    def admit_device(
        self, identity: Identity, token: str, peer: PeerCertificate | None = None
    ) -> tuple[Device, Admission]:
        """The device that `token` (or, without one, the certificate) speaks for, or that a policy with DeviceConnect
        acts for.

        Raises AccessDenied.
        """
        device = self.device(identity.device)
        if peer is not None and not token:
            admission = self._admit_peer(identity, device, peer)
            assert device is not None
            self._check_sends(admission.principal, device)
            return device, admission
        admission = self._admit(token, identity.path, self._with_keys(device, identity))
        self._check_sends(admission.principal, device)
        if device is None:  # a policy may be told; a stranger was refused before
            raise AccessDenied("the device is not registered")
        return device, admission

    def admits(self, identity: Identity, token: str) -> bool:
        """Whether a token that let a connection in would do so again."""
        try:
            self.admit_device(identity, token)
        except AccessDenied:
            return False
        return True

    def may_send(self, device: Device) -> bool:
        """Whether the device may send for the patient that it belongs to now; one that belongs to nobody may, and
        what it sends is nobody's."""
        principal = self._principals.of_device(device, self.wall_now())
        return not device.patient or decide(principal, Action.SEND_EVENTS, device.patient).allowed

    def may_view(self, device: Device) -> bool:
        """Whether the device was granted to read what is kept of the patient that it belongs to now."""
        principal = self._principals.of_device(device, self.wall_now())
        return bool(device.patient) and decide(principal, Action.VIEW_PATIENT, device.patient).allowed

    def _check_sends(self, principal: Principal, device: Device | None) -> None:
        """Raises AccessDenied unless the device, or the service that acts for it, may send."""
        patient = EVERYBODY if device is None else device.patient or EVERYBODY
        if principal.kind is Kind.SERVICE and not self._decide(principal, Action.SEND_EVENTS, patient).allowed:
            raise AccessDenied("the policy may not act for devices")
        if device is not None and not self.may_send(device):
            raise AccessDenied("the device may not send for this patient")

    def decide(self, path: str, token: str, action: Action, patient: str | None = None) -> Decision:
        """Whether the hub policy that a token names may do it at that endpoint. Raises AccessDenied for the token."""
        return self._decide(self.admit_service(path, token).principal, action, patient)

    def _decide(self, principal: Principal, action: Action, patient: str | None = None) -> Decision:
        return decide(self._principals.completed(principal, self.wall_now()), action, patient)

    def _admit_peer(self, identity: Identity, device: Device | None, peer: PeerCertificate) -> Admission:
        if self._module(identity) is not None:
            raise AccessDenied("the module has keys of its own")
        admission = admit_certificate(peer, device, self.authorities())
        if self.wall_now() >= admission.expires_us:
            raise AccessDenied("the certificate has expired")
        return admission

    def is_still(self, device: Device, peer: PeerCertificate) -> bool:
        """Whether the device's certificate, by which it was let in, is one that is trusted now."""
        try:
            admit_certificate(peer, device, self.authorities())
        except AccessDenied:
            return False
        return True

    def admit_request(self, device_id: str, token: str, peer: PeerCertificate | None = None) -> tuple[Identity, Device]:
        """The same for a device that asks over HTTPS. Raises BadInput for an id that is none, and AccessDenied."""
        try:
            identity = parse_identity(device_id)
        except ProtocolError as error:
            raise BadInput(str(error), reason="device_id") from None
        device, _ = self.admit_device(identity, token, peer)
        return identity, device

    def address(self, identity: Identity, device: Device) -> Address:
        """Where what is for that device or module is kept."""
        module = self._module(identity)
        return Address(device.id, module.generation_id if module else device.generation_id, identity.module)

    def _module(self, identity: Identity) -> Module | None:
        if not identity.module or self._modules is None:
            return None
        return self._modules.module(identity.device, identity.module)

    def _with_keys(self, device: Device | None, identity: Identity) -> Device | None:
        """The device with the keys that may sign: a registered module's own; a device speaks for its other modules."""
        module = self._module(identity)
        if device is None or module is None:
            return device
        return structs.replace(device, primary_key=module.primary_key, secondary_key=module.secondary_key)

    def admit_service(self, path: str, token: str) -> Admission:
        """Whom a hub policy's token for an endpoint ("devices/sensor-1") names. Raises AccessDenied."""
        return self._admit(token, path, None)

    def check_service(self, path: str, token: str) -> str:
        """The name of the hub policy of a token for an endpoint. Raises AccessDenied unless it allows to send commands,
        call methods and see and change twins (at IoT Hub the right ServiceConnect)."""
        return self.check(path, token, Action.COMMAND_DEVICES)

    def check(self, path: str, token: str, action: Action) -> str:
        """The name of the hub policy of a token for an endpoint, for the audit trail. Raises AccessDenied unless it grants
        the action, of which the trail has a line."""
        principal = self.admit_service(path, token).principal
        decision = self._decide(principal, action)
        if not decision.allowed:
            self.trail.note_refusal(principal.name, path, decision.reason)
            raise AccessDenied(decision.reason)
        return principal.name

    async def registered(self, id: str) -> Device:
        """The device as the registry has it now. Raises NotFound."""
        device = await asyncio.to_thread(self._registry.device, id)
        if device is None:
            raise NotFound(f"Device with ID '{id}' is not registered.")
        return device

    def _admit(self, token: str, path: str, device: Device | None) -> Admission:
        return admit(
            token,
            endpoint=f"{self.hub_name}/{path}",
            now_us=self.wall_now(),
            device=device,
            policy_keys=lambda policy: policy_keys(self._registry, policy),
        )
