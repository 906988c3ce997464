"""PostgreSQL and OpenSearch: started only when asked for, because a sink writes to them."""

import os
import shlex
import signal
from collections.abc import Mapping

from compose.local import probes
from compose.local.layout import Layout
from compose.local.parts import Part, jvm_flags, write
from compose.local.settings import (
    HEAP_MIB,
    LOOPBACK,
    OPENSEARCH,
    POSTGRES,
    POSTGRES_PASSWORD,
    POSTGRES_USER,
)
from compose.local.tools import Tools

# PostgreSQL refuses to run as root. In a user namespace root goes by another number, and what
# belongs to root outside belongs to that number inside: no account is needed, no folder changes
# hands.
_NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000")

_NODE = "org.codelibs.opensearch.runner.OpenSearchRunner"


def postgres(layout: Layout, tools: Tools, ports: Mapping[str, int]) -> Part:
    """Return PostgreSQL with a database and a user of the stack's; made at the first start."""
    data, password = layout.data("postgres"), layout.conf / "postgres-password"
    data.mkdir(parents=True, exist_ok=True)
    write(password, f"{POSTGRES_PASSWORD}\n")
    password.chmod(0o600)
    settings = {
        **POSTGRES,
        "listen_addresses": LOOPBACK,
        "port": str(ports["postgres"]),
        "unix_socket_directories": "",
    }
    server = str(tools.postgres / "postgres")
    initdb = [str(tools.postgres / "initdb"), "-D", "new", "-U", POSTGRES_USER, "--encoding=UTF8"]
    initdb += ["--locale=C", "--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions"]
    run = [server, "-D", "cluster", *(f"--{key}={value}" for key, value in settings.items())]
    # Under its final name only when it is whole: a start may be killed half-way.
    script = (
        "umask 077\n[ -d cluster ] || { rm -rf new && "
        f"{shlex.join(initdb)} && echo 'CREATE DATABASE {POSTGRES_USER};' | "
        f"{shlex.quote(server)} --single -D new postgres && mv new cluster; }} || exit\n"
        f"exec {shlex.join(run)}"
    )
    return Part(
        name="postgres",
        port=ports["postgres"],
        argv=(*(_NOT_ROOT if os.geteuid() == 0 else ()), "/bin/sh", "-c", script),
        cwd=data,
        env={"LC_ALL": "C"},
        probe=lambda _: probes.postgres(ports["postgres"], POSTGRES_USER),
        # SIGTERM would wait for every client to leave.
        stop_signal=signal.SIGINT,
    )


def opensearch(layout: Layout, tools: Tools, ports: Mapping[str, int]) -> Part:
    """Return one node of OpenSearch, without its security plug-in."""
    data, conf = layout.data("opensearch"), layout.conf / "opensearch"
    data.mkdir(parents=True, exist_ok=True)
    settings = {
        **OPENSEARCH,
        "network.host": LOOPBACK,
        "transport.port": str(ports["opensearch_transport"]),
    }
    write(conf / "opensearch.yml", "".join(f"{key}: {value}\n" for key, value in settings.items()))
    java = [str(tools.java), *jvm_flags(layout, HEAP_MIB["opensearch"]), "-XX:+UseSerialGC"]
    # It starts in half the time; a bulk request takes longer, and is not what one waits for here.
    java += ["-XX:TieredStopAtLevel=1"]
    java += ["-cp", f"{tools.jars}/opensearch/*", _NODE, "-numOfNode", "1", "-useLogger"]
    # The runner gives its n-th node the n-th port after this one, whatever the settings say.
    java += ["-basePath", ".", "-confPath", str(conf)]
    java += ["-baseHttpPort", str(ports["opensearch"] - 1)]
    return Part(
        name="opensearch",
        port=ports["opensearch"],
        argv=tuple(java),
        cwd=data,
        probe=lambda _: probes.opensearch(opensearch_url(ports)),
    )


def opensearch_url(ports: Mapping[str, int]) -> str:
    """Return where OpenSearch answers."""
    return f"http://{LOOPBACK}:{ports['opensearch']}"
