"""A Kafka that lets in only who trusts its own authority, and over SASL only who knows the password."""

from pathlib import Path
from typing import Final

from islet.clock import wall_us
from islet.gateways.certificates import ensure_certificates
from tests.services.kafka import Kafka, free_ports

MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
USER: Final = "islet"
PASSWORD: Final = 'p"w\\1; $x=y'
"""With what would end a text in a JAAS configuration or its option; the broker's own tool takes no comma."""

_ENDS: Final = """
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}={quoted};
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


class LockedKafka:
    """Listeners for SSL and for SASL_SSL beside the open one; `authority` is what clients have to trust."""

    def __init__(self, folder: Path) -> None:
        paths = ensure_certificates(folder, "localhost", wall_us())
        self.authority = paths.authority
        keystore = folder / "keystore.pem"
        keystore.write_bytes(paths.key.read_bytes() + paths.certificate.read_bytes())
        ssl, sasl = free_ports(2)
        self.ssl, self.sasl = f"127.0.0.1:{ssl}", f"127.0.0.1:{sasl}"
        quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
        more = _ENDS.format(keystore=keystore, user=USER, quoted=f'"{quoted}"'.replace("\\", "\\\\"))
        self.kafka = Kafka(
            folder,
            more=more,
            listeners=f",SSL://{self.ssl},SASL_SSL://{self.sasl}",
            users=[f"{mechanism}=[name={USER},password={PASSWORD}]" for mechanism in MECHANISMS[1:]],
        )

    def settings(self, mechanism: str = "") -> dict[str, str]:
        """The environment of an Islet that comes in with that mechanism; empty: over SSL alone."""
        common = {"ISLET_LOG": "kafka", "ISLET_KAFKA_CA_FILE": str(self.authority)}
        if not mechanism:
            return common | {"ISLET_KAFKA_BOOTSTRAP": self.ssl, "ISLET_KAFKA_PROTOCOL": "SSL"}
        return common | {
            "ISLET_KAFKA_BOOTSTRAP": self.sasl,
            "ISLET_KAFKA_PROTOCOL": "SASL_SSL",
            "ISLET_KAFKA_MECHANISM": mechanism,
            "ISLET_KAFKA_USER": USER,
            "ISLET_KAFKA_PASSWORD": PASSWORD,
        }
