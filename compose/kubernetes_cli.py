"""`tidegate jobs submit --target kubernetes`."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from compose.manifests import Surroundings, manifests
from compose.starting import Choice
from schemas.failure import Failure, Unavailable

F = TypeVar("F", bound=Callable[..., Any])
_TIMEOUT_S = 60.0
_OPTIONS = (
    click.option(
        "--target",
        type=click.Choice(("session", "kubernetes")),
        default="session",
        show_default=True,
        help="The stack's cluster, or Flink's operator 1.15 with the options below.",
    ),
    click.option("--dry-run", is_flag=True, help="Kubernetes: print the YAML, apply nothing."),
    click.option("--image", help="Kubernetes: as docker/flink.Dockerfile builds it."),
    click.option("--namespace", default="default", show_default=True, help="Kubernetes."),
    click.option("--kafka", metavar="HOST:PORT,…", help="Kubernetes: as the pods reach it."),
    click.option("--registry", metavar="URL", help="Kubernetes: as the pods reach it."),
    click.option("--lake", metavar="s3://BUCKET", help="Kubernetes: data and state."),
    click.option("--s3-endpoint", metavar="URL", help="Kubernetes: unless it is AWS."),
    click.option("--s3-secret", help="Kubernetes: a Secret with access-key and secret-key."),
)
_NEEDED = ("image", "kafka", "registry", "lake", "parallelism")
_ONLY = ("image", "kafka", "registry", "lake", "s3_endpoint", "s3_secret")


def kubernetes_options(command: F) -> F:
    """Add what is said of Kubernetes."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def surroundings(options: dict[str, Any], target: str, *, dry_run: bool) -> Surroundings | None:
    """Take the options of Kubernetes out; return them, or None where the job goes elsewhere."""
    said = {name: options.pop(name) for name in Surroundings._fields if name in options}
    if target == "kubernetes":
        missing = [f"--{name}" for name in _NEEDED if (said | options).get(name) is None]
        if missing:
            raise click.UsageError(
                f"--target kubernetes needs {', '.join(missing)}; parallelism is as many as the "
                "readings topic has partitions"
            )
        return Surroundings(**said)
    stray = [f"--{name.replace('_', '-')}" for name in _ONLY if said[name] is not None]
    if dry_run:
        stray.append("--dry-run")
    if stray:
        raise click.UsageError(f"{', '.join(stray)}: only with --target kubernetes")
    return None


def to_kubernetes(choices: Sequence[Choice], at: Surroundings, *, dry_run: bool) -> None:
    """Print the jobs' manifests, or have kubectl apply them.

    Raises:
        BadConfig: the rules are wrong.
        Unavailable: there is no kubectl.
        Failure: the cluster refuses them.
    """
    text = "---\n".join(manifests(choice, at) for choice in choices)
    if dry_run:
        click.echo(text, nl=False)
        return
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise Unavailable("kubectl is not on PATH; install it, or use --dry-run and apply the YAML")
    done = subprocess.run(
        [kubectl, "apply", "-f", "-"],
        input=text,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise Failure(f"kubectl apply: {done.stderr.strip()}")
    click.echo(done.stdout, nl=False)
