"""Certificates, and a mosquitto that asks for them."""

import subprocess
from pathlib import Path

from gateway.bench.mosquitto import Mosquitto, free_port

_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str = "ca") -> None:
    words = f"req -x509 {_KEY} -days 2 -keyout {name}.key -out {name}.crt -subj /CN={name}"
    openssl(folder, *words.split())


def certificate(
    folder: Path, name: str, subject: str, extension: str, *, ca: str = "ca", days: int = 2
) -> None:
    (folder / "ext").write_text(extension)
    openssl(folder, *f"req {_KEY} -keyout {name}.key -out {name}.csr -subj {subject}".split())
    openssl(
        folder,
        *f"x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial".split(),
        *f"-days {days} -extfile ext -out {name}.crt".split(),
    )
    (folder / f"{name}.key").chmod(0o644)


class TlsMosquitto(Mosquitto):
    """A broker that asks for a client certificate, and has a plain door for publishers."""

    clients = "ca"
    """Whose certificates it lets in."""

    def start(self) -> None:
        folder = self._config.parent
        lines = self._config.read_text().split("\n")
        rest = lines[lines.index("# the rest") + 1 :] if "# the rest" in lines else lines[1:]
        self.plain_port = getattr(self, "plain_port", None) or free_port()
        head = [
            f"listener {self.plain_port} 127.0.0.1",
            lines[0] if "# the rest" not in lines else lines[1],
            f"cafile {folder}/{self.clients}.crt",
            f"certfile {folder}/server.crt",
            f"keyfile {folder}/server.key",
            "require_certificate true",
            "# the rest",
        ]
        self._config.write_text("\n".join([*head, *rest]))
        super().start()
