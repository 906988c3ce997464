"""Our jobs for Kubernetes: what Flink's operator (1.15) is given, one deployment a job.

The image is the one that `docker/flink.Dockerfile` builds. Rules come in a ConfigMap, credentials
of the lake's store from a Secret, and state lies on the lake, where the local stack has it.
"""

from typing import Any, NamedTuple

import yaml

from compose.intents import named
from compose.local.settings import CHECKPOINTS, FLINK, SAVEPOINTS
from compose.starting import Choice
from stream.rules import rules_text

_PROGRAM = "/opt/flink/usrlib/tidegate_job.py"
_PYTHON = "/opt/venv/bin/python"
_RULES = "/opt/tidegate/rules"
# The CRD of operator 1.15.0 takes no higher, though the operator itself knows v2_3. It says how the
# operator writes configuration; what runs is the image.
_VERSION = "v2_2"
_API = "flink.apache.org/v1beta1"
# Of the local stack's settings, those that say where it is or that only one machine needs.
_LOCAL = ("taskmanager.numberOfTaskSlots", "parallelism.default", "s3.", "web.submit.enable")


class _Lines(yaml.SafeDumper):
    """Writes text of several lines as it stands."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Lines.add_representer(str, _text)


class Surroundings(NamedTuple):
    """What a job finds on Kubernetes.

    ``s3_secret`` names a Secret with the keys access-key and secret-key; None where the pods'
    own identity is enough.
    """

    image: str
    namespace: str
    kafka: str
    registry: str
    lake: str
    service_account: str = "flink"
    s3_endpoint: str | None = None
    s3_secret: str | None = None


_POD_MIB = 2560
_SLOTS_OF_A_POD = 2
# Of a pod's memory, what Flink's own division leaves to the tasks' heap.
_HEAP_OF_A_POD = 0.28


def pods_heap(parallelism: int) -> int:
    """Return the bytes of heap that the TaskManagers of a job have for tasks."""
    pods = -(-parallelism // _SLOTS_OF_A_POD)
    return int(pods * _POD_MIB * _HEAP_OF_A_POD) << 20


def manifests(choice: Choice, at: Surroundings) -> str:
    """Return the YAML documents that have the operator run a job: its rules, its deployment.

    Raises:
        BadConfig: the rules are wrong.
    """
    name = f"tidegate-{named(choice.job, choice.prefix).name}".replace(".", "-").lower()
    documents = [_deployment(name, choice, at)]
    if choice.job == "alerts":
        documents.insert(0, _rules(name, choice, at))
    return yaml.dump_all(documents, Dumper=_Lines, sort_keys=False, allow_unicode=True)


def _rules(name: str, choice: Choice, at: Surroundings) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}-rules", "namespace": at.namespace},
        "data": {"rules.yaml": rules_text(choice.rules)},
    }


def _deployment(name: str, choice: Choice, at: Surroundings) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "FlinkDeployment",
        "metadata": {"name": name, "namespace": at.namespace},
        "spec": {
            "image": at.image,
            "flinkVersion": _VERSION,
            "serviceAccount": at.service_account,
            "flinkConfiguration": _configuration(name, choice, at),
            "podTemplate": _pods(name, choice, at),
            "jobManager": {"replicas": 1, "resource": {"cpu": 0.5, "memory": "1024m"}},
            "taskManager": {"resource": {"cpu": 1.0, "memory": f"{_POD_MIB}m"}},
            "job": {
                # The operator wants a jar; this one holds the class below, which runs the program.
                "jarURI": "local:///opt/flink/opt/flink-python-2.3.0.jar",
                "entryClass": "org.apache.flink.client.python.PythonDriver",
                "args": ["-pyclientexec", _PYTHON, "-py", _PROGRAM, *_arguments(choice, at)],
                "parallelism": choice.parallelism,
                # Falls back to the last checkpoint, which HA keeps, when no savepoint can be taken.
                "upgradeMode": "savepoint",
                "state": "running",
            },
        },
    }


def _configuration(name: str, choice: Choice, at: Surroundings) -> dict[str, str]:
    ours = {key: value for key, value in FLINK.items() if not key.startswith(_LOCAL)}
    stores = {
        "s3.path.style.access": FLINK["s3.path.style.access"],
        "s3.endpoint.region": FLINK["s3.endpoint.region"],
    }
    if at.s3_endpoint is not None:
        stores["s3.endpoint"] = at.s3_endpoint
    lake = at.lake.rstrip("/")
    return (
        ours
        | stores
        | {
            "taskmanager.numberOfTaskSlots": str(min(choice.parallelism, _SLOTS_OF_A_POD)),
            "execution.checkpointing.dir": f"{lake}/{_below_lake(CHECKPOINTS)}",
            "execution.checkpointing.savepoint-dir": f"{lake}/{_below_lake(SAVEPOINTS)}",
            "high-availability.type": "kubernetes",
            "high-availability.storageDir": f"{lake}/_flink/ha/{name}",
            "python.executable": _PYTHON,
            "python.client.executable": _PYTHON,
        }
    )


def _below_lake(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[2]


def _arguments(choice: Choice, at: Surroundings) -> list[str]:
    words = [
        choice.job,
        f"--kafka={at.kafka}",
        f"--registry={at.registry}",
        f"--lake={at.lake}",
        f"--prefix={choice.prefix}",
        f"--name={named(choice.job, choice.prefix).name}",
        f"--parallelism={choice.parallelism}",
        f"--checkpoint-interval-ms={choice.checkpoint_interval_ms}",
        f"--lateness-ms={choice.lateness_ms}",
    ]
    words.append(f"--backend={choice.backend}")
    if choice.job == "alerts":
        words.append(f"--transaction-timeout-ms={choice.transaction_timeout_ms}")
    if choice.panes is not None:
        words.append(f"--panes={choice.panes}")
    if choice.rules_after:
        words.append(f"--rules-after={choice.rules_after}")
    return [*words, f"--rules={_RULES}/rules.yaml"] if choice.job == "alerts" else words


def _pods(name: str, choice: Choice, at: Surroundings) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "flink-main-container"}
    spec: dict[str, Any] = {"containers": [container]}
    if at.s3_secret is not None:
        container["env"] = [
            _from_secret("AWS_ACCESS_KEY_ID", at.s3_secret, "access-key"),
            _from_secret("AWS_SECRET_ACCESS_KEY", at.s3_secret, "secret-key"),
        ]
    if choice.job == "alerts":
        container["volumeMounts"] = [{"name": "rules", "mountPath": _RULES, "readOnly": True}]
        spec["volumes"] = [{"name": "rules", "configMap": {"name": f"{name}-rules"}}]
    return {"spec": spec}


def _from_secret(variable: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
