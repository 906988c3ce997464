"""What a machine needs to run the gateway under systemd: a user, a unit, a configuration."""

import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from schemas.failure import Failure

CONFIG = Path("etc/tidegate/gateway.toml")
UNIT = Path("etc/systemd/system/tidegate.service")
_CREDENTIALS = "/etc/tidegate/credentials"

# Of the system calls outside @system-service only adjtimex is let through: without CAP_SYS_TIME it
# cannot set the clock, and it tells whether the clock is set.
_UNIT = """\
[Unit]
Description=tidegate gateway: MQTT readings to Kafka, none lost
Documentation=man:systemd.exec(5)
After=network-online.target time-sync.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStartPre={program} gateway check -c {config}
ExecStart={program} gateway run -c {config}
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=30
TimeoutStopSec=20
Restart=always
RestartSec=2
# Another start mends neither wrong usage nor a bad configuration.
RestartPreventExitStatus=2 78

User={user}
StateDirectory=tidegate
StateDirectoryMode=0700
UMask=0077
{credentials}
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service adjtimex
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=
MemoryMax=300M
TasksMax=64
LimitCORE=0

[Install]
WantedBy=multi-user.target
"""

_SKELETON = """\
# Every key with its default: the file samples/gateway.toml of the package.
# After a change: tidegate gateway check -c {config} && systemctl reload tidegate

[gateway]
# Unique in the fleet; letters, digits, "-" and "_".
id = "{gateway_id}"
data_dir = "/var/lib/tidegate"

[mqtt]
url = "mqtt://127.0.0.1:1883"

[kafka]
bootstrap_servers = "127.0.0.1:9092"

# Over a network: TLS and a login. Secrets are files in {credentials}, which systemd
# hands over; name each in the unit, LoadCredential=kafka-password:{credentials}/kafka-password.
# [kafka.librdkafka]
# "security.protocol" = "sasl_ssl"
# "sasl.mechanism" = "SCRAM-SHA-512"
# "sasl.username" = "{gateway_id}"
# "sasl.password_file" = "kafka-password"

[registry]
url = "http://127.0.0.1:8081/apis/ccompat/v7"

[[routes]]
topic = "sensors/{{site}}/{{device}}/{{metric}}"
payload = "json"
"""


class Plan(NamedTuple):
    """What to install where; ``root`` is / but for an image that is being made."""

    root: Path
    user: str
    program: str
    gateway_id: str


class Done(NamedTuple):
    """One thing that was done, or would be."""

    what: Literal["user", "write", "unchanged", "beside", "mkdir"]
    where: str
    text: str = ""


def unit(plan: Plan) -> str:
    """Return the systemd unit."""
    folder = plan.root / _CREDENTIALS.lstrip("/")
    names = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    lines = [f"LoadCredential={name}:{_CREDENTIALS}/{name}" for name in names]
    told = "\n".join(lines) or f"# LoadCredential=kafka-password:{_CREDENTIALS}/kafka-password"
    return _UNIT.format(
        program=plan.program, config=f"/{CONFIG}", user=plan.user, credentials=f"{told}\n"
    )


def skeleton(plan: Plan) -> str:
    """Return a configuration to begin with; it passes ``gateway check``."""
    return _SKELETON.format(
        config=f"/{CONFIG}", gateway_id=plan.gateway_id, credentials=_CREDENTIALS
    )


def install(plan: Plan, *, dry: bool, run: Callable[[list[str]], None]) -> Iterator[Done]:
    """Bring the machine there, step by step; a step that is done already changes nothing.

    A file that was edited is left alone: the new text is written beside it, as ``.new``.

    Args:
        plan: what is wanted.
        dry: say it and do nothing.
        run: runs a program.

    Raises:
        Failure: a step cannot be done.
    """
    if plan.root == Path("/") and not _known(plan.user):
        words = ["useradd", "--system", "--no-create-home", "--home-dir", "/var/lib/tidegate"]
        command = [*words, "--shell", "/usr/sbin/nologin", plan.user]
        if not dry:
            run(command)
        yield Done("user", plan.user, " ".join(command))
    folder = plan.root / _CREDENTIALS.lstrip("/")
    if not folder.is_dir():
        if not dry:
            _made(folder)
        yield Done("mkdir", str(folder))
    for place, text, mode in ((CONFIG, skeleton(plan), 0o640), (UNIT, unit(plan), 0o644)):
        yield _written(plan, plan.root / place, text, mode, dry=dry)


def needs_root(plan: Plan) -> bool:
    """Return whether this process may not write where it should."""
    return plan.root == Path("/") and os.geteuid() != 0


def run(command: list[str]) -> None:
    """Run a program.

    Raises:
        Failure: it is not there or does not succeed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")


def _written(plan: Plan, path: Path, text: str, mode: int, *, dry: bool) -> Done:
    try:
        present = path.read_text("utf-8")
    except FileNotFoundError:
        present = None
    except (OSError, UnicodeDecodeError):
        present = ""
    if present == text:
        return Done("unchanged", str(path))
    to = path if present is None else path.with_name(f"{path.name}.new")
    if not dry:
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(text, "utf-8")
            to.chmod(mode)
            if mode == 0o640 and _known(plan.user) and os.geteuid() == 0:
                os.chown(to, 0, pwd.getpwnam(plan.user).pw_gid)
        except OSError as error:
            raise Failure(f"{to}: {error.strerror}") from error
    return Done("write" if to == path else "beside", str(to), text)


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise Failure(f"{folder}: {error.strerror}") from error


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
