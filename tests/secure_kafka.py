"""A real Kafka that wants to know who is there: mTLS, SCRAM, OAUTHBEARER, and access rights."""

import base64
import http.server
import json
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from confluent_kafka.cimpl import NewTopic
from edge_rig import PARTITIONS, wait_for
from edge_tls import authority, certificate

from compose.local import parts
from compose.local.layout import Layout
from compose.local.tools import find_tools
from gateway.bench.mosquitto import free_port

READINGS, LETTERS = "tidegate.readings", "tidegate.dead-letters"
SECRET = "correct horse"
_JAAS = "org.apache.kafka.common.security"
_LISTENERS = {"PLAINTEXT": "PLAINTEXT", "TLS": "SSL", "SCRAM": "SASL_SSL", "OAUTH": "SASL_SSL"}


class SecureKafka:
    """One broker with a door for each way to say who one is; whoever is not allowed, may not.

    ``server`` names the broker's certificate in ``folder``. The plain door is the test's own.
    """

    def __init__(self, folder: Path, server: str = "server") -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in (*_LISTENERS, "CONTROLLER")}
        layout = Layout.of(folder / "kafka")
        for needed in (layout.conf, layout.scratch):
            needed.mkdir(parents=True)
        ports = {"kafka": self.ports["PLAINTEXT"], "kafka_controller": self.ports["CONTROLLER"]}
        part = parts.kafka(layout, find_tools(layout, ["kafka"]), ports)
        self._settings = layout.conf / "kafka.properties"
        self._open = self._settings.read_text()
        self.show(server)
        self._log = (folder / "kafka.log").open("wb")
        self._process = subprocess.Popen(
            part.argv,
            cwd=part.cwd,
            env=parts.environment(part),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_for("Kafka up", lambda: part.probe("") is None, 90)
        self.admin = AdminClient({"bootstrap.servers": self.door("PLAINTEXT")})
        topics = [NewTopic(READINGS, PARTITIONS), NewTopic(LETTERS, 1)]
        for future in self.admin.create_topics(topics).values():
            future.result(20)

    def show(self, server: str) -> None:
        """Write the settings: which certificate it shows."""
        pem = self.folder / f"{server}.pem"
        key, chain = (self.folder / f"{server}.{kind}" for kind in ("key", "crt"))
        pem.write_text(key.read_text() + chain.read_text())
        listeners = ",".join(f"{n}://127.0.0.1:{self.ports[n]}" for n in (*_LISTENERS,))
        kinds = ",".join(f"{n}:{kind}" for n, kind in _LISTENERS.items())
        more = {
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{self.ports['CONTROLLER']}",
            "advertised.listeners": listeners.replace("127.0.0.1", "localhost"),
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{kinds}",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(pem),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.folder / "ca.crt"),
            "listener.name.tls.ssl.client.auth": "required",
            "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.scram.scram-sha-512.sasl.jaas.config": (
                f"{_JAAS}.scram.ScramLoginModule required;"
            ),
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            # Of a token without a signature only its times and its subject are looked at.
            "listener.name.oauth.oauthbearer.sasl.jaas.config": (
                f'{_JAAS}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="x";'
            ),
        }
        text = "".join(f"{key}={value}\n" for key, value in more.items())
        self._settings.write_text(self._open + text)

    def door(self, name: str) -> str:
        return f"localhost:{self.ports[name]}"

    def add_user(self, name: str, password: str) -> None:
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(name, info, password.encode())
        for future in self.admin.alter_user_scram_credentials([change]).values():
            future.result(20)

    def allow(self, principal: str) -> None:
        """Let someone write to both topics."""
        for future in self.admin.create_acls(list(_rights(principal))).values():
            future.result(20)

    def revoke(self, principal: str) -> None:
        """Take it back."""
        filters = [
            AclBindingFilter(
                ResourceType.TOPIC,
                None,
                ResourcePatternType.ANY,
                principal,
                None,
                AclOperation.ANY,
                AclPermissionType.ANY,
            )
        ]
        for future in self.admin.delete_acls(filters).values():
            assert future.result(20), f"{principal} had no rights"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


def _rights(principal: str) -> Iterable[AclBinding]:
    for topic in (READINGS, LETTERS):
        for operation in (AclOperation.WRITE, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS):
            yield AclBinding(
                ResourceType.TOPIC,
                topic,
                ResourcePatternType.LITERAL,
                principal,
                "*",
                operation,
                AclPermissionType.ALLOW,
            )


def certificates(folder: Path) -> None:
    """Make an authority, the broker's certificate and one of a gateway."""
    authority(folder)
    certificate(folder, "server", "/CN=localhost", "subjectAltName=DNS:localhost")
    certificate(folder, "gateway", "/CN=gateway", "extendedKeyUsage=clientAuth")


class TokenServer:
    """Gives out tokens for the client credentials it knows (RFC 6749 §4.4), unsigned ones."""

    def __init__(self, name: str, secret: str) -> None:
        wanted = base64.b64encode(f"{name}:{secret}".encode()).decode()
        given: list[str] = []
        self.given = given

        class Door(http.server.BaseHTTPRequestHandler):
            known: ClassVar[str] = f"Basic {wanted}"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                good = self.headers.get("Authorization") == self.known
                body: dict[str, Any] = {"error": "invalid_client"}
                if good:
                    given.append(token(name))
                    body = {"access_token": given[-1], "token_type": "Bearer", "expires_in": 60}
                self.send_response(200 if good else 401)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_words: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def token(subject: str) -> str:
    """Return a JSON web token without a signature (RFC 7519 §6)."""
    now = int(time.time())
    claims = {"sub": subject, "iat": now, "exp": now + 60, "aud": "kafka"}
    parts_of = ({"alg": "none"}, claims)
    coded = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts_of]
    return b".".join([*coded, b""]).decode()
