"""The YAML for Flink's operator: its own keys, of the types that the CRD of 1.15.0 has."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import compose
from compose.jobs_cli import submit
from compose.manifests import Surroundings, manifests
from compose.starting import Choice
from stream.jobs.main import arguments
from stream.rules import rules_text

CHOICE = Choice(
    "alerts", "demo", "plant.", 4, 10_000, 5000, "*=300000", transaction_timeout_ms=60_000
)
AT = Surroundings(
    "flink:1", "plant", "kafka:9092", "http://registry", "s3://lake/", s3_endpoint="http://s3:8333",
    s3_secret="lake-keys",
)  # fmt: skip
# Of FlinkDeployment's spec, what is used here, as its OpenAPI schema types it.
SPEC = {
    "image": str,
    "flinkVersion": ("v1_19", "v1_20", "v2_0", "v2_1", "v2_2"),
    "serviceAccount": str,
    "flinkConfiguration": dict,
    "podTemplate": dict,
    "jobManager": {"replicas": int, "resource": {"cpu": float, "memory": str}},
    "taskManager": {"resource": {"cpu": float, "memory": str}},
    "job": {
        "jarURI": str,
        "entryClass": str,
        "args": list,
        "parallelism": int,
        "upgradeMode": ("last-state", "savepoint", "stateless"),
        "state": ("running", "suspended"),
    },
}


def complaints(value: Any, schema: Any, path: str = "spec") -> list[str]:
    if isinstance(schema, dict):
        unknown = [f"{path}.{key} is unknown" for key in value if key not in schema]
        known = [key for key in value if key in schema]
        return unknown + [
            each for key in known for each in complaints(value[key], schema[key], f"{path}.{key}")
        ]
    fits = value in schema if isinstance(schema, tuple) else isinstance(value, schema)
    return [] if fits else [f"{path} is {value!r}"]


def deployment(choice: Choice = CHOICE, at: Surroundings = AT) -> dict[str, Any]:
    return list(yaml.safe_load_all(manifests(choice, at)))[-1]


def test_a_deployment_has_what_the_operator_knows() -> None:
    made = deployment()
    assert (made["apiVersion"], made["kind"]) == ("flink.apache.org/v1beta1", "FlinkDeployment")
    assert made["metadata"] == {"name": "tidegate-plant-alerts", "namespace": "plant"}
    assert complaints(made["spec"], SPEC) == []
    assert all(isinstance(each, str) for each in made["spec"]["job"]["args"])
    assert all(isinstance(each, str) for each in made["spec"]["flinkConfiguration"].values())


def test_the_program_understands_its_arguments_and_the_image_has_it() -> None:
    args = deployment()["spec"]["job"]["args"]
    program = args.index("-py") + 1
    asked = arguments().parse_args(args[program + 1 :])
    assert (asked.job, asked.kafka, asked.lake, asked.prefix) == (
        "alerts", "kafka:9092", "s3://lake/", "plant.",
    )  # fmt: skip
    assert (asked.parallelism, asked.name, asked.panes) == (4, "plant-alerts", "*=300000")
    assert (asked.checkpoint_interval_ms, asked.lateness_ms) == (10_000, 5000)
    assert asked.transaction_timeout_ms == CHOICE.transaction_timeout_ms
    dockerfile = Path(compose.__file__).parent / "docker" / "flink.Dockerfile"
    assert f"COPY stream/jobs/main.py {args[program]}\n" in dockerfile.read_text()


def test_rules_are_mounted_where_the_program_looks_for_them() -> None:
    rules, made = yaml.safe_load_all(manifests(CHOICE, AT))
    assert rules["data"]["rules.yaml"] == rules_text("demo")
    pod = made["spec"]["podTemplate"]["spec"]
    (volume,) = pod["volumes"]
    assert volume["configMap"]["name"] == rules["metadata"]["name"]
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    assert f"--rules={mount['mountPath']}/rules.yaml" in made["spec"]["job"]["args"]
    keys = {each["valueFrom"]["secretKeyRef"]["key"] for each in container["env"]}
    assert keys == {"access-key", "secret-key"}


def test_state_is_on_the_lake_and_no_secret_in_the_text() -> None:
    options = deployment()["spec"]["flinkConfiguration"]
    assert options["execution.checkpointing.dir"] == "s3://lake/_flink/checkpoints"
    assert options["high-availability.storageDir"] == "s3://lake/_flink/ha/tidegate-plant-alerts"
    assert options["s3.endpoint"] == "http://s3:8333"
    assert not {"s3.access-key", "s3.secret-key"} & set(options)


def test_the_lakes_job_needs_no_rules() -> None:
    (made,) = yaml.safe_load_all(manifests(CHOICE._replace(job="lake", panes=None), AT))
    assert complaints(made["spec"], SPEC) == []
    assert "volumes" not in made["spec"]["podTemplate"]["spec"]


WORDS = [
    "lake", "alerts", "--target=kubernetes", "--dry-run", "--image=i", "--kafka=k:9092",
    "--registry=http://r", "--lake=s3://lake", "--parallelism=4",
]  # fmt: skip


def test_a_dry_run_prints_all_documents_and_needs_no_stack(tmp_path: Path) -> None:
    done = CliRunner().invoke(submit, [*WORDS, f"--state={tmp_path}"])
    assert done.exit_code == 0, done.output
    kinds = [each["kind"] for each in yaml.safe_load_all(done.output)]
    assert kinds == ["FlinkDeployment", "ConfigMap", "FlinkDeployment"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_or_out_of_place_is_a_usage_error() -> None:
    done = CliRunner().invoke(submit, ["lake", "--target=kubernetes", "--image=i"])
    assert done.exit_code == 2
    assert "--kafka, --registry, --lake, --parallelism" in done.output
    done = CliRunner().invoke(submit, ["lake", "--s3-secret=x", "--dry-run"])
    assert done.exit_code == 2
    assert "--s3-secret, --dry-run: only with --target kubernetes" in done.output


def test_without_kubectl_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    done = CliRunner().invoke(submit, [each for each in WORDS if each != "--dry-run"])
    assert "kubectl is not on PATH" in str(done.exception)


def test_the_warehouse_is_not_for_the_operator_yet() -> None:
    done = CliRunner().invoke(submit, ["warehouse", *WORDS[2:]])
    assert done.exit_code == 2
    assert "not with --target kubernetes yet" in done.output
