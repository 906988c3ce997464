"""Our own jobs: what they are submitted with, how they are planned and started."""

import hashlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from compose.backends import DEFAULT, Backend
from compose.intents import Intent, Named, read_intent, write_intent
from compose.lake_cli import lake_of
from compose.local.endpoints import Endpoints
from compose.local.flink import BRIEF_CLIENT, flink_env
from compose.sinks import postgres_of, sinks_file
from compose.submissions import Asked, argument, cluster_of, remember
from schemas.amounts import duration
from schemas.failure import BadConfig, Failure
from stream.jobs.checkpoints import metadata
from stream.jobs.fit import misfits
from stream.jobs.settings import TRANSACTION_TIMEOUT_MS, Database, Start, Tuning
from stream.pane_sizes import no_larger, pane_sizes
from stream.rules import load_rules, packs, rules_text
from stream.sinks.config import jdbc_url, password

if TYPE_CHECKING:  # it starts PyFlink
    from stream.jobs.submit import Prepared

JOBS = ("lake", "alerts", "warehouse", "archive")


class Choice(NamedTuple):
    """What an operator chose for one of our jobs; times are milliseconds.

    ``rules`` is a file or a pack's name; ``panes`` are pane sizes that its own may not exceed.
    ``sinks`` is the file that says where the warehouse is, the local stack's when left out.
    ``rules_after`` is the version up to which pushed rules do not count beside ``rules``.
    ``backend`` is where state lives, see :mod:`compose.backends`. ``transaction_timeout_ms`` is
    how long the brokers keep alerts that are not committed yet.
    """

    job: str
    rules: str
    prefix: str
    parallelism: int
    checkpoint_interval_ms: int
    lateness_ms: int
    panes: str | None = None
    sinks: str | None = None
    rules_after: int = 0
    backend: Backend = DEFAULT
    transaction_timeout_ms: int = TRANSACTION_TIMEOUT_MS

    def argv(self) -> list[str]:
        """Return the words of `tidegate jobs submit` that choose the same."""
        words = [
            self.job,
            f"--rules={self.rules}",
            f"--prefix={self.prefix}",
            f"--parallelism={self.parallelism}",
            f"--checkpoint-interval={self.checkpoint_interval_ms}ms",
            f"--lateness={self.lateness_ms}ms",
        ]
        if self.panes is not None:
            words.append(f"--panes={self.panes}")
        if self.job == "alerts":
            words.append(f"--rules-after={self.rules_after}")
            words.append(f"--transaction-timeout={self.transaction_timeout_ms}ms")
        words.append(f"--backend={self.backend}")
        return words if self.sinks is None else [*words, f"--sinks={self.sinks}"]


def choice_of(argv: list[str]) -> Choice:
    """Return what the words of a remembered submission chose."""

    def said(option: str) -> str:
        value = argument(argv, option)
        assert value is not None, f"a submission without --{option}"
        return value

    return Choice(
        argv[0],
        said("rules"),
        said("prefix"),
        int(said("parallelism")),
        int(duration(said("checkpoint-interval"))),
        int(duration(said("lateness"))),
        argument(argv, "panes"),
        argument(argv, "sinks"),
        int(argument(argv, "rules-after") or 0),
        cast(Backend, argument(argv, "backend") or DEFAULT),
        int(duration(argument(argv, "transaction-timeout") or f"{TRANSACTION_TIMEOUT_MS}ms")),
    )


def panes_of(choice: Choice) -> str:
    """Return the sizes of an alerts job's panes, as the pane operator takes them.

    Raises:
        BadConfig: the rules that it was submitted with are gone, or wrong.
    """
    own = pane_sizes(load_rules(choice.rules))
    return no_larger(own, own if choice.panes is None else choice.panes)


def kept_rules(state: Path, rules: str) -> str:
    """Return where a rule file is kept as it is now, or the pack's name.

    A job that comes back after a failure, or after an upgrade that went wrong, must have the rules
    that it ran with, whatever has become of the file.

    Raises:
        BadConfig: neither file nor pack, or wrong inside.
    """
    if rules in packs():
        return rules
    text = rules_text(rules)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = (state / "jobs" / "rules" / f"{digest}-{Path(rules).name.split('-')[-1]}").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
    return str(path)


def pane_bounds(before: Choice, after: Choice) -> str | None:
    """Return the sizes that the panes of a job going on from another's state may not exceed.

    None where its own do not; see :func:`stream.pane_sizes.no_larger`.
    """
    if after.job != "alerts":
        return None
    try:
        former = panes_of(before)
    except BadConfig:
        return after.panes  # the file of a submission that kept no copy is gone
    own = pane_sizes(load_rules(after.rules))
    kept = no_larger(own, former)
    return None if kept == no_larger(own, own) else kept


def prepare(state: Path, endpoints: Endpoints, who: Named, choice: Choice) -> "Prepared":
    """Plan a job.

    Raises:
        BadConfig: the rules are wrong, or the warehouse's tables are not there.
        RegistryDown, Unavailable: the registry or the warehouse does not answer.
    """
    text = rules_text(choice.rules)  # wrong rules must not cost a start of the JVM
    database = None if choice.job != "warehouse" else _database(state, choice.sinks)
    os.environ.update(flink_env(state) | BRIEF_CLIENT)
    from stream.jobs import submit  # noqa: PLC0415 - starts PyFlink

    cluster = cluster_of(endpoints, choice.prefix)
    tuning = Tuning(
        parallelism=choice.parallelism,
        checkpoint_interval_ms=choice.checkpoint_interval_ms,
        lateness_ms=choice.lateness_ms,
        state_backend=choice.backend,
        transaction_timeout_ms=choice.transaction_timeout_ms,
    )
    if choice.job == "archive":
        return submit.prepare_archive(who.name, cluster, tuning)
    if choice.job == "lake":
        return submit.prepare_lake(who.name, cluster, tuning)
    if database is not None:
        return submit.prepare_warehouse(who.name, cluster, tuning, database)
    return submit.prepare_alerts(who.name, cluster, tuning, text, choice.panes, choice.rules_after)


def _database(state: Path, sinks: str | None) -> Database:
    """Return the database of sinks.toml once its schema is this version's."""
    from stream.sinks.postgres import require_migrated  # noqa: PLC0415 - of this job alone

    section = postgres_of(sinks_file(None if sinks is None else Path(sinks), state))
    require_migrated(section)
    return Database(jdbc_url(section), section.username, password(section))


def check_fit(who: Named, state: bytes, prepared: "Prepared") -> None:
    """Hold a snapshot's metadata against a plan, before anything is stopped or started.

    Raises:
        BadConfig: the planned job cannot go on from it.
    """
    from stream.jobs.snapshot_state import kept, places  # noqa: PLC0415 - starts PyFlink

    wrong = misfits(kept(state), places(prepared))
    if wrong:
        raise BadConfig(
            f"{who.name}: the state does not fit this version, so nothing was changed: "
            f"{'; '.join(wrong)}. Undo what changed the plan, or begin anew with tidegate jobs "
            "submit --from none, after jobs stop if it runs"
        )


def check_snapshot(endpoints: Endpoints, who: Named, uri: str, prepared: "Prepared") -> None:
    """Hold a plan against the snapshot that it is to go on from.

    Raises:
        BadConfig: it does not fit.
        Failure: there is no such snapshot.
    """
    if not uri.startswith("s3://"):
        return  # on a store that only the cluster may know how to read
    state = metadata(lake_of(endpoints).files, uri)
    if state is None:
        raise Failure(f"{who.name}: there is no snapshot at {uri}: no file _metadata is in it")
    check_fit(who, state, prepared)


def start(
    state: Path,
    who: Named,
    choice: Choice,
    prepared: "Prepared",
    restore_from: str | None,
    *,
    keeps: bool = False,
) -> str:
    """Start a planned job; return its id.

    The id is remembered before the cluster has it: whoever is killed in between leaves no job
    behind whose checkpoints nobody would look for.

    Raises:
        Failure: the cluster did not take it; what was wanted before is wanted again.
    """
    before = read_intent(state, who.name)
    job_id = new_job_id()
    remember(state, who, Asked("submit", choice.argv()), job_id)
    try:
        prepared.start(Start(job_id, restore_from, keeps))
    except Failure:
        _give_up(state, who, before, job_id)
        raise
    return job_id


def new_job_id() -> str:
    """Return a job id as Flink makes them."""
    return uuid.uuid4().hex


def _give_up(state: Path, who: Named, before: Intent | None, job_id: str) -> None:
    """Want what was wanted before; keep the id, for a cluster that only answered too late."""
    now = read_intent(state, who.name)
    assert now is not None
    if before is None:
        write_intent(state, msgspec.structs.replace(now, wanted=False))
    else:
        write_intent(state, msgspec.structs.replace(before, job_ids=[*before.job_ids, job_id]))
