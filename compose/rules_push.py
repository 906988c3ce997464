"""`tidegate rules push` and `show`: rules for the running job, without a restart."""

import json
import time
from pathlib import Path
from typing import Any

import click

from compose.in_force import Changes, Standing, changes_of, in_force, standing_of
from compose.intents import named
from compose.local.endpoints import read
from compose.options import Duration, Time, prefix_option, state_option
from compose.rule_topic import Pushed, publish
from compose.starting import kept_rules
from compose.upgrade import Asked, Where, upgrade
from schemas.failure import BadConfig, Failure
from schemas.records import RuleSet
from simulators.clock import stamp
from stream.pane_sizes import beyond
from stream.rule import Rules
from stream.rule_sets import ALWAYS, Dated, text_digest
from stream.rules import parse_rules, rules_text


class Begin(click.ParamType[int]):
    """A time, or how long from now (``+10m``), as ms since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the milliseconds, or fail as click does."""
        text = str(value).strip()
        if text.startswith("+"):
            at = _now_ms() + Duration().convert(text[1:], param, ctx)
            return -(-at // 1000) * 1000
        return Time().convert(value, param, ctx)


@click.command()
@click.argument("rules")
@click.option(
    "--effective-from",
    "from_ms",
    type=Begin(),
    default="+1m",
    show_default=True,
    metavar="TIME|+10m",
    help="Event time: windows that end then or later are decided by these rules.",
)
@click.option("--dry-run", is_flag=True, help="Say what would change, and push nothing.")
@click.option(
    "--upgrade",
    "upgrades",
    is_flag=True,
    help="Where the running job cannot take them, exchange it through a savepoint.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@prefix_option
@state_option
def push(
    rules: str,
    from_ms: int,
    prefix: str,
    state: Path,
    *,
    dry_run: bool,
    upgrades: bool,
    as_json: bool,
) -> None:
    """Give RULES to the running alerts job, without a restart.

    RULES replace all rules that are in force then. Every device has them from the same event time
    on. Memory and open alerts of rules that mean the same are kept. To take back rules that are to
    come, push those in force again.
    """
    text = rules_text(rules)
    parsed = parse_rules(text, rules)
    endpoints = read(state)
    standing = standing_of(state, endpoints, prefix)
    if wrong := _obstacles(standing, parsed):
        if not upgrades:
            raise BadConfig(
                f"{rules}: the alerts job cannot take these rules as it runs: {'; '.join(wrong)}. "
                "With --upgrade the job is exchanged through a savepoint, and they hold from there "
                "on; nothing was pushed"
            )
        _exchange(state, prefix, rules, standing, dry_run=dry_run)
        return
    _check(rules, text, from_ms, standing)
    version = standing.newest + 1
    before = in_force(standing.turns(), from_ms)
    changes = changes_of(before.rules, parsed)
    if not dry_run:
        publish(endpoints, prefix, text, version, from_ms)
    told = {
        "version": version,
        "effective_from": stamp(from_ms),
        "sha256": text_digest(text),
        "replaces": before.version,
        **changes._asdict(),
        "pushed": not dry_run,
    }
    if as_json:
        click.echo(json.dumps(told))
        return
    said = "would be version" if dry_run else "version"
    click.echo(f"{said} {version}, from {stamp(from_ms)} on, in place of {_called(before.version)}")
    for line in _told(changes):
        click.echo(line)


@click.command()
@click.argument("version", type=click.IntRange(1), required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@prefix_option
@state_option
def show(version: int | None, prefix: str, state: Path, *, as_json: bool) -> None:
    """Show what rules are in force and which are to come.

    With VERSION, the file of that one.
    """
    standing = standing_of(state, read(state), prefix)
    if version is not None:
        click.echo(_text_of(standing, version), nl=False)
        return
    rows = _rows(standing)
    if as_json:
        click.echo(json.dumps({"sets": rows}))
        return
    for row in rows:
        since = "always" if row["from"] is None else row["from"]
        click.echo(f"{_called(row['version']):12} from {since:24} {row['status']}")
        for line in row["changes"]:
            click.echo(f"  {line}")


def _obstacles(standing: Standing, parsed: Rules) -> list[str]:
    if standing.deaf:
        return ["it was submitted by a release that takes no pushed rules"]
    return [] if standing.panes is None else beyond(standing.panes, parsed)


def _exchange(state: Path, prefix: str, rules: str, standing: Standing, *, dry_run: bool) -> None:
    if dry_run:
        click.echo("the job would be exchanged through a savepoint; this is a dry run")
        return
    at = Where(
        state=state,
        endpoints=read(state),
        who=named("alerts", prefix),
        within_s=90.0,
        say=lambda line: click.echo(line, err=True),
    )
    job_id = upgrade(at, Asked(rules=kept_rules(state, rules), rules_after=standing.newest))
    click.echo(f"{at.who.name}: runs as {job_id}, by {rules} from its savepoint on")


def _check(rules: str, text: str, from_ms: int, standing: Standing) -> None:
    now_ms = _now_ms()
    if from_ms <= now_ms:
        raise Failure(
            f"--effective-from {stamp(from_ms)} is not in the future (it is {stamp(now_ms)}): "
            "windows that end since then may have been decided. Give a later time, or +10m; "
            "`tidegate jobs upgrade alerts --rules` lets rules hold for all that is still undecided"
        )
    if standing.sets and standing.sets[-1].given.sha256 == text_digest(text):
        last = standing.sets[-1].given
        raise Failure(
            f"{rules} was pushed already, as version {last.version} from "
            f"{stamp(last.effective_from)} on; nothing was pushed"
        )


def _rows(standing: Standing) -> list[dict[str, Any]]:
    now_ms = _now_ms()
    turns = standing.turns()
    current = in_force(turns, now_ms)
    rows: list[dict[str, Any]] = []
    before: Dated | None = None
    for index, each in enumerate(turns):
        until = None if index + 1 == len(turns) else turns[index + 1].from_ms
        if each.version == current.version:
            status = "in force"
        elif each.from_ms > now_ms:
            status = "to come"
        else:
            status = f"until {stamp(until or 0)}"
        changes: list[str] = [] if before is None else _told(changes_of(before.rules, each.rules))
        since = None if each.from_ms == ALWAYS else stamp(each.from_ms)
        rows.append(_row(each.version, since, status, changes))
        before = each
    shown = {each.version for each in turns}
    rows += [
        _row(given.version, stamp(given.effective_from), _fate(standing, one), [])
        for one in standing.sets
        if (given := one.given).version not in shown
    ]
    if standing.choice is None:
        return rows[1:]
    rows[0]["status"] += f": {standing.choice.rules}"
    return rows


def _row(version: int, since: str | None, status: str, changes: list[str]) -> dict[str, Any]:
    return {"version": version, "from": since, "status": status, "changes": changes}


def _fate(standing: Standing, one: Pushed) -> str:
    if one.at >= one.given.effective_from:
        return f"refused: it reached the topic at {stamp(one.at)}, no earlier than it was to hold"
    if one.refused:
        return f"refused: {one.refused}"
    if standing.choice is not None and one.given.version <= standing.choice.rules_after:
        return "replaced by the rules that the job was submitted or upgraded with"
    return "never: a later version holds from then on"


def _text_of(standing: Standing, version: int) -> str:
    found: list[RuleSet] = [one.given for one in standing.sets if one.given.version == version]
    if not found:
        raise Failure(f"there is no version {version}; `tidegate rules show` lists what there is")
    return found[0].text


def _called(version: int) -> str:
    return f"version {version}" if version else "the job's own"


def _told(changes: Changes) -> list[str]:
    words = {
        "added": "new",
        "removed": "gone, its alerts end",
        "changed": "changed, begins anew",
        "retold": "changed, goes on",
        "kept": "the same",
    }
    return [f"{name}: {words[kind]}" for kind, names in changes._asdict().items() for name in names]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
