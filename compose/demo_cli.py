"""`tidegate demo`: the whole path on this machine, watched from end to end."""

import json
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click

from compose.alerts_cli import line
from compose.demo import Ledger, Watch, ledger, settle, wait_for, watching
from compose.local import control
from compose.local.endpoints import Endpoints, read
from compose.local.layout import Layout
from compose.local.settings import PARTS
from compose.options import state_option
from compose.processes import command, end, ready_url, running_gateway, start
from compose.schemas_cli import register_contracts
from compose.topics import apply_topics
from compose.verdict import Verdict, verdict
from schemas.failure import Failure
from schemas.records import Alert
from simulators.clock import run_site, start_time
from simulators.faults import kinds_for
from simulators.fleet import Fleet

_CHECKPOINTS = "5s"
_REPORT_S = 5.0


@dataclass
class _Run:
    """One run of the demo: what is played, where, and since when."""

    endpoints: Endpoints
    logs: Path
    state: Path
    site: str
    start_ms: int
    fleet: Fleet
    began: float
    until: float
    first_alert_s: float | None = None
    reported: float = field(default_factory=time.monotonic)

    def say(self, told: str) -> None:
        """Tell a step with the seconds since the command began."""
        click.echo(f"[{time.monotonic() - self.began:5.0f} s] {told}", err=True)

    def on_alert(self, alert: Alert) -> None:
        """Tell an alert as it comes."""
        if self.first_alert_s is None:
            self.first_alert_s = round(time.monotonic() - self.began, 1)
        click.echo(f"{'':10}{line(alert)}", err=True)

    def report(self, watch: Watch) -> None:
        """Tell the counts every few seconds."""
        if time.monotonic() - self.reported > _REPORT_S:
            self.reported = time.monotonic()
            self.say(f"{watch.readings.distinct} readings on Kafka, {watch.alerts.alerts} alerts")


@click.command()
@click.option("--check", is_flag=True, help="End with one line of JSON on stdout, for scripts.")
@click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True)
@click.option("--pumps", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--faults", type=click.IntRange(0, 200), default=3, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option(
    "--within",
    "within_s",
    type=click.IntRange(30),
    default=360,
    show_default=True,
    help="Seconds after which to give up.",
)
@state_option
def demo(
    days: int, pumps: int, faults: int, seed: int, within_s: int, state: Path, *, check: bool
) -> None:
    """Watch real servers carry a plant's readings to alerts and a lake.

    Starts the local stack and the jobs where they do not run yet, a gateway and the simulator.
    The stack and the jobs stay up, to look around; `tidegate local down` ends them.
    """
    began = time.monotonic()
    fleet = Fleet(pumps=pumps, faults=kinds_for(faults), days=days, seed=seed)
    now_ms = time.time_ns() // 1_000_000
    layout = Layout.of(state)
    control.up(layout, list(PARTS), lambda told: click.echo(f"{'':10}{told}", err=True))
    run = _Run(
        endpoints=read(state),
        logs=layout.logs,
        state=state,
        site=run_site(now_ms),
        start_ms=start_time(None, now_ms=now_ms, span_ms=fleet.span_ms),
        fleet=fleet,
        began=began,
        until=began + within_s,
    )
    apply_topics(run.endpoints.kafka_bootstrap)
    register_contracts(run.endpoints.registry_url)
    run.say(f"the stack is up; this run's site is {run.site}")
    books, found = _play(run)
    for told in _summary(run, books, found):
        click.echo(told, err=check)
    if check:
        click.echo(json.dumps(books._asdict()))
    if not books.balanced:
        raise Failure("the books do not balance, or no alert came; see the numbers above")


def _play(run: _Run) -> tuple[Ledger, Verdict]:
    """Run the jobs, a gateway and the simulator until all has come out."""
    (run.logs / "demo-jobs.log").unlink(missing_ok=True)
    jobs = start(
        command(
            "jobs",
            "submit",
            # In this order the first alert need not wait for the lake's start.
            "alerts",
            "lake",
            "--rules=demo",
            f"--checkpoint-interval={_CHECKPOINTS}",
            f"--state={run.state}",
        ),
        run.logs / "demo-jobs.log",
    )
    config = Path(run.endpoints.gateway_config)
    try:
        with (
            watching(run.endpoints, run.site, run.on_alert) as watch,
            running_gateway(config, run.logs / "gateway.log"),
        ):
            run.say("the gateway is ready; waiting for the alerts job")
            # Beside the simulator at full speed the job's start takes twice as long.
            wait_for("the alerts job", lambda: _started(jobs, run.logs), watch, run.until)
            run.say("the alerts job runs; the simulator begins")
            published = _simulate(run, config, watch)
            run.say(f"the simulator is done: {published} readings acknowledged")
            wait_for("the jobs", lambda: jobs.poll() is not None, watch, run.until)
            if jobs.returncode:
                raise Failure(f"the jobs did not start; {_end_of(run.logs / 'demo-jobs.log')}")
            settle(run.endpoints, run.site, published, watch, run.until)
            run.say("all of it is in the lake, and the lake is compacted")
            books = ledger(run.endpoints, run.site, published, watch, run.first_alert_s)
            found = verdict(watch.alerts.transitions, run.site, run.start_ms, run.fleet)
            return books, found
    finally:
        end(jobs)


def _simulate(run: _Run, config: Path, watch: Watch) -> int:
    """Run the simulator; return how many readings were acknowledged to it."""
    fleet = run.fleet
    log = run.logs / "simulator.log"
    log.unlink(missing_ok=True)
    start_at = datetime.fromtimestamp(run.start_ms / 1000, UTC).isoformat()
    process = start(
        command(
            "simulate",
            "run",
            "--with-nab",
            "--json",
            f"--pumps={fleet.pumps}",
            *(f"--fault={kind}" for kind in fleet.faults),
            f"--faults={len(fleet.faults)}",
            f"--days={fleet.days}",
            f"--seed={fleet.seed}",
            f"--site={run.site}",
            f"--start={start_at}",
            f"--url={run.endpoints.mqtt_url}",
            f"--ready={ready_url(config)}",
            f"--ledger={run.logs / 'simulator-ledger.ndjson'}",
        ),
        log,
    )

    def done() -> bool:
        run.report(watch)
        return process.poll() is not None

    try:
        wait_for("the simulator", done, watch, run.until)
    finally:
        end(process)
    if process.returncode:
        raise Failure(f"the simulator ended with {process.returncode}; {_end_of(log)}")
    return int(json.loads(log.read_text().splitlines()[-1])["published"])


def _started(jobs: "subprocess.Popen[bytes]", logs: Path) -> bool:
    """Say whether the alerts job runs, or will not by this submission."""
    return jobs.poll() is not None or "alerts: runs" in (logs / "demo-jobs.log").read_text()


def _end_of(log: Path) -> str:
    return f"the end of {log}:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _summary(run: _Run, books: Ledger, found: Verdict) -> list[str]:
    first = "none" if books.first_alert_s is None else f"after {books.first_alert_s:g} s"
    labelled = len(found.labelled) - len(found.missed_labels)
    failing = len(found.failing) - len(found.missed_pumps)
    return [
        "",
        f"published    {books.published:>9}  readings acknowledged to the simulator",
        f"on Kafka     {books.distinct:>9}  distinct, in {books.readings} records",
        f"in the lake  {books.lake_distinct:>9}  distinct, in {books.lake_rows} rows",
        f"alerts       {books.alerts:>9}  the first {first}",
        f"dead letters {books.dead_letters:>9}",
        "",
        f"labelled failures of the machine found    {labelled} of {len(found.labelled)}",
        f"failing pumps found                       {failing} of {len(found.failing)}",
        f"healthy pumps that alerted                {len(found.false_pumps)} of {found.healthy}",
        "",
        "Look around:",
        f"  {run.endpoints.flink_url}   the jobs in Flink's own pages",
        f"  {run.endpoints.console_url}   the parts of the stack",
        f"  ./run alerts tail --site {run.site} --once",
        f"  ./run lake query --site {run.site} 'SELECT metric, count(*) FROM readings GROUP BY 1'",
        "  ./run local down",
    ]
