"""The Flink session cluster: the pip package, run with folders of our own beside it."""

import importlib.util
import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from compose.local import probes
from compose.local.beam import NotPatchable, loopback_jar
from compose.local.layout import Layout
from compose.local.parts import RUN, Part, jvm_flags, log4j_settings
from compose.local.settings import FLINK, HEAP_MIB, LOOPBACK, TASK_MEMORY, USUAL_PORTS
from compose.local.tools import Tools, find_java, find_tools
from schemas.failure import Unavailable

log = logging.getLogger("tidegate.local")

_JOBMANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASKMANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
# What clients of the cluster look for beside config.yaml.
_CLIENT_FILES = ("log4j-session.properties", "masters", "workers")
_CLIENT_LOG = "log4j-cli.properties"


# For a client that plans, submits and leaves: the optimising compiler takes half of all the CPU
# such a client needs and does not pay it back. Not for one that runs a query itself.
BRIEF_CLIENT = {"JVM_ARGS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


def flink_env(state: Path) -> dict[str, str]:
    """Return the environment of Flink's processes, which a submitting client needs too.

    Without FLINK_HOME PyFlink silently replaces the other folders by its own.

    Raises:
        Unavailable: no stack was started in this folder, or PyFlink or Java is missing.
    """
    layout = Layout.of(state)
    if not _config(layout).is_file():
        raise Unavailable(
            f"no Flink was ever started in {layout.root}; start it with: tidegate local up"
        )
    return folders(layout) | {"JAVA_HOME": str(find_java().parent.parent)}


def planning_env(folder: Path) -> dict[str, str]:
    """Return the environment of a client that plans and runs nothing, with its files in a folder.

    Raises:
        Unavailable: PyFlink, Java or the jars are missing.
    """
    layout = Layout.of(folder)
    prepare(layout, find_tools(layout, ["jobmanager"]), USUAL_PORTS)
    return flink_env(folder)


def folders(layout: Layout) -> dict[str, str]:
    """Return where Flink finds its own files and ours."""
    home = _home()
    return {
        "FLINK_HOME": str(home),
        "FLINK_OPT_DIR": str(home / "opt"),
        "FLINK_CONF_DIR": str(_config(layout).parent),
        "FLINK_LIB_DIR": str(_lib(layout)),
        "FLINK_PLUGINS_DIR": str(_plugins(layout)),
        "FLINK_LOG_DIR": str(layout.logs / "flink-clients"),
    }


def prepare(layout: Layout, tools: Tools, ports: Mapping[str, int]) -> None:
    """Write Flink's configuration and link its jars together with ours into one folder."""
    home, conf = _home(), _config(layout).parent
    conf.mkdir(parents=True, exist_ok=True)
    (layout.logs / "flink-clients").mkdir(parents=True, exist_ok=True)
    _config(layout).write_text(config_yaml(configuration(layout, ports, _java_options(home))))
    (conf / "log4j.properties").write_text(
        log4j_settings({"org.apache.pekko": "WARN", "org.apache.kafka": "WARN"})
    )
    _link(conf, [home / "conf" / name for name in _CLIENT_FILES])
    _quiet(home / "conf" / _CLIENT_LOG, conf / _CLIENT_LOG)
    jars = [*(home / "lib").glob("*.jar"), *(tools.jars / "flink" / "lib").glob("*.jar")]
    # Its classes run the Python operators; a client that is no `flink run` does not bring them.
    jars += (home / "opt").glob("flink-python*.jar")
    _only(_lib(layout), jars)
    _keep_on_loopback(home, _patch(layout))
    for plugin in sorted((tools.jars / "flink" / "plugins").iterdir()):
        # An empty folder here ends both processes at their start.
        if found := list(plugin.glob("*.jar")):
            _only(_plugins(layout) / plugin.name, found)


def configuration(layout: Layout, ports: Mapping[str, int], java_options: str) -> dict[str, str]:
    """Return every setting of both processes and of clients."""
    return {
        **FLINK,
        **TASK_MEMORY.options(),
        "env.java.opts.all": java_options,
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": str(ports["flink_rpc"]),
        "jobmanager.bind-host": LOOPBACK,
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": str(ports["flink"]),
        "rest.bind-port": str(ports["flink"]),
        "web.log.path": str(layout.log("jobmanager")),
        "taskmanager.log.path": str(layout.log("taskmanager")),
        "io.tmp.dirs": str(layout.scratch),
        "s3.endpoint": f"http://{LOOPBACK}:{ports['s3']}",
        "s3.buffer.dir": str(layout.scratch),
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }


def config_yaml(settings: Mapping[str, str]) -> str:
    """Return Flink's config.yaml with flat keys; a JSON string is a YAML string."""
    return "".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in settings.items()
    )


def jobmanager(layout: Layout, tools: Tools, ports: Mapping[str, int]) -> Part:
    """Return the JobManager with its web page."""
    java = [*jvm_flags(layout, HEAP_MIB["jobmanager"]), "-XX:+UseSerialGC"]
    # It computes little: without the optimising compiler it is up in two thirds of the time.
    java += ["-XX:MaxMetaspaceSize=256m", "-XX:TieredStopAtLevel=1"]
    return Part(
        name="jobmanager",
        port=ports["flink"],
        argv=_command(layout, tools, java, [_JOBMANAGER]),
        cwd=layout.scratch,
        env=_environment(layout, tools),
        probe=lambda _: probes.jobmanager(flink_url(ports)),
    )


def taskmanager(layout: Layout, tools: Tools, ports: Mapping[str, int]) -> Part:
    """Return the TaskManager; its Python workers are its children."""
    java = [*jvm_flags(layout, HEAP_MIB["taskmanager"]), "-XX:+UseParallelGC"]
    java += [f"-XX:MaxDirectMemorySize={TASK_MEMORY.direct}m"]
    java += [f"-XX:MaxMetaspaceSize={TASK_MEMORY.metaspace}m"]
    return Part(
        name="taskmanager",
        port=ports["flink"],
        argv=_command(layout, tools, java, [_TASKMANAGER, "-D", f"taskmanager.resource-id={RUN}"]),
        cwd=layout.scratch,
        env=_environment(layout, tools),
        probe=lambda run: probes.taskmanager(flink_url(ports), run),
    )


def flink_url(ports: Mapping[str, int]) -> str:
    """Return the REST endpoint, which serves the web page too."""
    return f"http://{LOOPBACK}:{ports['flink']}"


def _command(layout: Layout, tools: Tools, java: list[str], main: list[str]) -> tuple[str, ...]:
    conf = _config(layout).parent
    log4j = conf / "log4j.properties"
    return (
        str(tools.java),
        *java,
        *_java_options(_home()).split(),
        f"-Dlog4j.configurationFile={log4j}",
        "-cp",
        f"{_patch(layout)}:{_lib(layout)}/*",
        main[0],
        "--configDir",
        str(conf),
        *main[1:],
    )


def _environment(layout: Layout, tools: Tools) -> dict[str, str]:
    # A job whose client did not say which Python gets `python` as found on PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return folders(layout) | {
        "JAVA_HOME": str(tools.java.parent.parent),
        "TMPDIR": str(layout.scratch),
        "PATH": path,
    }


def _home() -> Path:
    """Return the folder of PyFlink, found without importing it."""
    spec = importlib.util.find_spec("pyflink")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            "PyFlink is not installed; install it with: pip install 'tidegate[stream]' "
            "(Python 3.11 or 3.12)"
        )
    return Path(spec.submodule_search_locations[0])


def _java_options(home: Path) -> str:
    """Return the options of the shipped configuration: without them clients die on Java 17."""
    shipped = (home / "conf" / "config.yaml").read_text()
    found = re.search(r"^\s*all:\s*(--add-\S.*)$", shipped, re.MULTILINE)
    if found is None:
        raise Unavailable(f"{home}/conf/config.yaml has no env.java.opts.all; reinstall PyFlink")
    return found[1].strip()


def _config(layout: Layout) -> Path:
    return layout.conf / "flink" / "config.yaml"


def _lib(layout: Layout) -> Path:
    return layout.conf / "flink-lib"


def _plugins(layout: Layout) -> Path:
    return layout.conf / "flink-plugins"


def _patch(layout: Layout) -> Path:
    return layout.conf / "beam-loopback.jar"


def _keep_on_loopback(home: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        for jar in (home / "opt").glob("flink-python*.jar"):
            loopback_jar(jar, target)
    except NotPatchable as reason:
        log.warning("the servers for Python workers listen on all interfaces: %s", reason)


def _quiet(shipped: Path, target: Path) -> None:
    """Copy a client's log settings, without what Hadoop has to say at every start."""
    target.unlink(missing_ok=True)  # it may be a link to what is shipped
    said = "logger.hadoop.level = INFO"
    target.write_text(shipped.read_text().replace(said, "logger.hadoop.level = ERROR"))


def _only(folder: Path, targets: list[Path]) -> None:
    """Make the folder hold links to the targets and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {target.name for target in targets}
    for old in [link for link in folder.iterdir() if link.name not in names]:
        old.unlink()
    _link(folder, targets)


def _link(folder: Path, targets: list[Path]) -> None:
    for target in targets:
        link = folder / target.name
        if not (link.is_symlink() and link.readlink() == target):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
