"""The doors that are not HTTP: every MQTT topic and AMQP address of a whole platform, tried with every credential."""

import asyncio
from pathlib import Path

import paho.mqtt.client as paho

from islet.access.actions import Action
from islet.access.decide import decide
from islet.access.doors import Credential, Door, Open, doors
from islet.decode.mqtt_packets import Connack, Connect, Packet, Puback, Publish, Suback, Subscribe
from islet.model.people import Device
from tests.conftest import Missing
from tests.gateways.door import Peer, hello
from tests.platform.inside import HUB, MARKS, Inside, inside
from tests.platform.test_platform_matrix import Visitor, visitors


def acts_for(visitor: Visitor, device: str) -> bool:
    """What the matrix says of a device's doors: the device itself, or a hub policy that may send."""
    if visitor.credential is Credential.HUB:
        return decide(visitor.principal, Action.SEND_EVENTS).allowed
    return visitor.device == device and decide(visitor.principal, Action.SEND_EVENTS, _patient(device)).allowed


def _patient(device: str) -> str:
    return next(patient for patient, (_, of, _) in MARKS.items() if of == device)


async def opened(one: Inside, visitor: Visitor, device: str) -> tuple[Peer, int | None]:
    """A connection as that device with the visitor's credential, and the answer to CONNECT."""
    peer = Peer(*await asyncio.open_connection("127.0.0.1", one.mqtt_port))
    greeting = hello(Device(id=device), token=visitor.token or "none", hub=HUB, clean_session=True)
    if not visitor.token:
        greeting = Connect(client_id=greeting.client_id, username=greeting.username)
    peer.send(greeting)
    answer = await peer.receive()
    return peer, answer.code if isinstance(answer, Connack) else None


def packet_for(door: Door, device: str) -> Packet:
    topic = door.address.replace("{id}", device)
    if door.method == "subscribe":
        return Subscribe(7, ((topic, 1),))
    more = "" if topic.startswith("devices/") else "200/?$rid=1" if "methods" in topic else "?$rid=1"
    return Publish(topic + more, b"{}", 1, 7)


async def taken(peer: Peer, packet: Packet) -> bool:
    """Whether the server has taken it; otherwise it closes the connection."""
    peer.send(packet)
    while (answer := await peer.receive()) is not None:
        if isinstance(answer, Puback | Suback):
            return not (isinstance(answer, Suback) and 0x80 in answer.codes)
    return False


async def test_mqtt_lets_in_whom_the_matrix_does_and_to_their_own_topics_alone(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        topics = [door for door in doors("mqtt") if door.method != "connect"]
        wrong = []
        for visitor in visitors(one):
            for device, other in (("cgm-1", "cgm-2"), ("cgm-2", "cgm-1")):
                peer, code = await opened(one, visitor, device)
                peer.hang_up()
                if (code == 0) is not acts_for(visitor, device):
                    wrong.append(f"{visitor.name} as {device}: {code}")
                if code != 0 or (visitor.credential is Credential.HUB and visitor.name != "device"):
                    continue
                for door in topics:
                    for whose in {device, other if "{id}" in door.address else device}:
                        peer, _ = await opened(one, visitor, device)
                        if await taken(peer, packet_for(door, whose)) is not (whose == device):
                            wrong.append(f"{visitor.name} as {device}: {door.method} {door.address} of {whose}")
                        peer.hang_up()
        assert wrong == []

    await inside(tmp_path, visit)


def granted(visitor: Visitor, door: Door, device: str, status: int) -> bool:
    """What the matrix says of an AMQP address: the device's own, or one of a right; `status` answered the token."""
    if door.address.endswith("/$management") and status != 200:
        return True  # who has shown no token may open it, and is answered 401 there
    if isinstance(door.needs, Action) and door.credential is Credential.HUB:
        return decide(visitor.principal, door.needs).allowed and status == 200
    return door.needs is not Open.LINK and acts_for(visitor, device)  # nobody here is enrolled


async def test_amqp_lets_everybody_to_the_addresses_that_the_matrix_grants(tmp_path: Path, missing: Missing) -> None:
    try:
        from proton import SSLDomain
        from proton.utils import BlockingConnection, LinkDetached
    except ImportError:
        missing("python-qpid-proton")

    from tests.gateways.amqp_peer import AmqpPeer

    def connection(port: int) -> object:
        tls = SSLDomain(SSLDomain.MODE_CLIENT)
        tls.set_peer_authentication(SSLDomain.ANONYMOUS_PEER)
        url = f"amqps://127.0.0.1:{port}"
        return BlockingConnection(url, timeout=20, ssl_domain=tls, allowed_mechs="ANONYMOUS", reconnect=False)

    async def may_attach(peer: AmqpPeer, method: str, address: str) -> bool:
        try:
            link = await (peer.sender(address) if method == "send" else peer.receiver(address))
        except LinkDetached:
            return False
        await asyncio.to_thread(link.close)
        return True

    async def visit(one: Inside) -> None:
        wrong = []
        for visitor in visitors(one):
            peer = AmqpPeer(await asyncio.to_thread(connection, one.amqp_port))
            status = await peer.put_token(visitor.token or "none", HUB)
            if (status == 200) is (visitor.credential in (Credential.NONE, Credential.PORTAL)):
                wrong.append(f"{visitor.name}: token {status}")
            for door in doors("amqp"):
                for device in MARKS if door.about else ("p-1",):
                    id = MARKS[device][1]
                    address = door.address.format(id=id, group="$Default", partition=0, scope="islet")
                    if await may_attach(peer, door.method, address) is not granted(visitor, door, id, status):
                        wrong.append(f"{visitor.name}: {door.method} {address}")
            await peer.close()
        assert "\n".join(wrong) == ""

    await inside(tmp_path, visit)


async def test_mqtt_over_websocket_lets_in_whom_the_matrix_does(tmp_path: Path) -> None:
    async def visit(one: Inside) -> None:
        loop = asyncio.get_running_loop()

        async def code(visitor: Visitor) -> int:
            """What the server answers somebody who connects as cgm-1."""
            answered: asyncio.Future[int] = loop.create_future()

            def settle(answer: int) -> None:
                if not answered.done():
                    answered.set_result(answer)

            client = paho.Client(client_id="cgm-1", transport="websockets")
            client.ws_set_options(path="/$iothub/websocket")
            client.username_pw_set(f"{HUB}/cgm-1/?api-version=2021-04-12", visitor.token or None)
            client.on_connect = lambda *told: loop.call_soon_threadsafe(settle, told[3])
            await asyncio.to_thread(client.connect, "127.0.0.1", one.http_port)
            client.loop_start()
            try:
                return await asyncio.wait_for(answered, 10)
            finally:
                client.disconnect()
                await asyncio.to_thread(client.loop_stop)

        some = ("nobody", "administrator", "key", "device", "service", "cgm-1", "cgm-2")  # the rest is as over TCP
        asked = [visitor for visitor in visitors(one) if visitor.name in some]
        codes = await asyncio.gather(*map(code, asked))
        let_in = {visitor.name: answer == 0 for visitor, answer in zip(asked, codes, strict=True)}
        assert let_in == {visitor.name: acts_for(visitor, "cgm-1") for visitor in asked}

    await inside(tmp_path, visit)
