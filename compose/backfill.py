"""A period computed again from the lake, and what that changes sent to the topics.

topics ──▶ what the jobs have told ──┐
lake ──▶ panes ──▶ engine ───────────┴─▶ what differs ──▶ topics, in one transaction
"""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from compose.backfill_books import Books, Request, RunIn
from compose.backfill_run import Ids, Run, known_device
from compose.caught_up import await_jobs
from compose.fleet_cli import devices_of
from compose.lake_cli import lake_of
from compose.local.endpoints import Endpoints
from compose.outbox import Outbox, Sender
from compose.rule_topic import pushed
from compose.told import Told, Whose, listen, listeners
from gateway.follow import decoder, follow
from schemas.contracts import contract_text
from schemas.failure import Failure
from schemas.records import AlertCommand
from schemas.registry import Registry
from schemas.topics import subject
from simulators.clock import iso
from stream.commands import Commands, said
from stream.fleet import Fleet
from stream.lake_readings import first_day_ms
from stream.pane_sizes import no_larger, pane_ms, pane_sizes
from stream.recompute import DAY_MS
from stream.rule import Rules
from stream.rule_sets import Engines
from stream.run_in import learns, settling_ms


def backfill(endpoints: Endpoints, request: Request) -> Books:
    """Compute the period again and send what that changes, or only say it.

    Raises:
        Failure: nothing is there to compute from, or to compare with.
        RetryLater: the lake job is behind.
        Unavailable: Kafka, the lake's storage or the cluster does not answer.
    """
    request = with_pushed(endpoints, request)
    lake = lake_of(endpoints)
    first_ms = first_day_ms(lake, request.site)
    if first_ms is None:
        raise Failure(f"the lake at {lake.root} holds no readings{request.of()}")
    known_device(lake, request)
    # Before anything is read: whoever else began such a run can no longer send its own.
    sender = (
        None if request.dry_run else Sender(endpoints.kafka_bootstrap, f"{request.prefix}backfill")
    )
    with TemporaryDirectory(prefix="tidegate-backfill-") as folder:
        scratch = Path(folder)
        whose = Whose(request.site, request.device)
        size_of = pane_ms(request.rules, request.panes)
        with (
            closing(
                Told(scratch / "told", request.rules, request.scope, whose, size_of, request.fleet)
            ) as told,
            closing(Outbox(scratch / "outbox")) as outbox,
        ):
            books = Books(aged_out=_hear(endpoints, request, told))
            run_in = run_in_of(request, told, first_ms)
            books.run_in_from, books.run_in_why = iso(run_in.from_ms), run_in.why
            ids = _ids(endpoints.registry_url, request.prefix)
            Run(request, run_in, first_ms, ids, told, outbox, books).over(lake, scratch)
            books.sent = len(outbox)
            if sender is not None and books.sent:
                sender.send(outbox)
    return books


def with_pushed(endpoints: Endpoints, request: Request) -> Request:
    """Return the request with what was pushed: rules, each for its time, devices, and resets.

    Raises:
        Unavailable, RegistryDown: Kafka or the registry does not answer.
    """
    fleet = Fleet()
    for device in devices_of(endpoints, request.prefix):
        fleet.know(device)
    request = replace(request, fleet=fleet, resets=resets_of(endpoints, request.prefix))
    if request.after is None:
        return request
    own = pane_sizes(request.rules)
    panes = no_larger(own, request.panes or own)
    found = pushed(endpoints, request.prefix, panes)
    sets = [one.dated for one in found if one.dated and one.given.version > request.after]
    if not sets:
        return request
    engines = Engines(request.rules, fleet)
    for each in sets:
        engines.know(each)
    all_of = [request.rules, *(each.rules for each in sets)]
    every = Rules(
        tuple(rule for each in all_of for rule in each.rules),
        tuple(dict.fromkeys(rollup for each in all_of for rollup in each.rollups)),
        tuple(dict.fromkeys(session for each in all_of for session in each.sessions)),
        tuple(compound for each in all_of for compound in each.compounds),
        request.rules.suppress,
    )
    return replace(request, rules=every, engines=engines, panes=panes)


def resets_of(endpoints: Endpoints, prefix: str) -> Commands:
    """Return what people have reset: an alert that latches does not end of itself.

    What else they say of alerts changes none that a backfill would send.
    """
    decoded = decoder(AlertCommand, endpoints.registry_url)
    found = Commands()
    for batch in follow(endpoints.kafka_bootstrap, f"{prefix}alert-commands", until_end=True):
        for message in batch:
            try:
                one = said(message.timestamp()[1], decoded(message.value() or b""))
            except ValueError:
                continue  # no command of any release: the job tells it as a dead letter
            if one.command.command == "RESET":
                found.know(one)
    return found


def _hear(endpoints: Endpoints, request: Request, told: Told) -> list[str]:
    """Read what the jobs have told; return the topics that do not go back to the period."""
    takes = listeners(told, endpoints.registry_url)
    aged_out = []
    # Alerts last: one of a window that is heard of is then committed, too.
    for name in ("windows", "late", "alerts"):
        if name == "alerts":
            await_jobs(endpoints, request.prefix, request.wait_ms)
        topic = f"{request.prefix}{name}"
        if not listen(endpoints.kafka_bootstrap, topic, takes[name], request.from_ms):
            aged_out.append(topic)
    told.index()
    if told.nothing():
        raise Failure(
            f"the topics {request.prefix}windows, alerts and late hold nothing{request.of()}: "
            "there is nothing to repair before the alerts job has run over these readings"
        )
    return aged_out


def _ids(registry_url: str, prefix: str) -> Ids:
    registry = Registry(registry_url)
    return Ids(
        registry.register(subject(f"{prefix}windows"), contract_text("window_features")),
        registry.register(subject(f"{prefix}alerts"), contract_text("alert")),
    )


def run_in_of(request: Request, told: Told, first_ms: int) -> RunIn:
    """Return how far before the period to begin, at a UTC midnight not before the lake's first."""
    need = settling_ms(request.rules)
    start = request.from_ms - need
    why = "windows and delays need it"
    while (since := told.active_since(start)) is not None:
        start, why = since - need, "an alert was active since"
    if learns(request.rules):
        back = first_ms if request.run_in_ms is None else request.from_ms - request.run_in_ms
        if back < start:
            start = back
            why = "baselines learn from the first reading on"
            if request.run_in_ms is not None:
                why = "as asked, for the baselines"
    return RunIn(max(start // DAY_MS * DAY_MS, first_ms), why)
