"""`tidegate alerts kpi`: can people live with the alerts?"""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from compose.alert_records import alert_records, data_option
from compose.listing import aligned
from compose.options import Time, prefix_option, state_option
from schemas.amounts import told_at
from schemas.failure import Failure
from stream.kpis import Check, Kpis, checks, episodes, kpis, period

_NAMES = {
    "alerts_per_day": "alerts a day",
    "alerts_per_10_min": "alerts in 10 minutes, mean",
    "peak_per_10_min": "alerts in 10 minutes, most",
    "flood_share": "share of time in flood",
    "chattering_series": "chattering: 3 changes a minute",
    "standing_over_24h": "standing over 24 h",
    "critical_share": "share of CRITICAL",
    "warning_share": "share of WARNING",
}
_OK = {True: "pass", False: "MISS", None: "-"}


@click.command()
@click.option("--site", help="Only this site.")
@click.option(
    "--from", "from_ms", type=Time(), help="Start, in event time; the first record's when left out."
)
@click.option("--to", "to_ms", type=Time(), help="End; the last record's when left out.")
@data_option
@prefix_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@state_option
def kpi(
    site: str | None, from_ms: int | None, to_ms: int | None, data: Path | None, prefix: str,
    state: Path, *, as_json: bool,
) -> None:  # fmt: skip
    """Measure the alerts as ISA-18.2 and IEC 62682 do.

    Load, floods (above 10 in 10 minutes, until below 5), chattering, alerts that stand for over a
    day, the mix of severities and the ten worst series, each beside its target.
    """
    records = alert_records(data, prefix, state)
    own = [each for each in records if site in (None, each.site)]
    if records and not own:
        known = ", ".join(sorted({each.site for each in records}))
        raise click.UsageError(f"no alert is of site {site!r}; there are: {known}")
    first, last = period(own)
    if not own and None in (from_ms, to_ms):
        raise Failure("there is no alert record; with --from and --to, a quiet period is measured")
    begin = first if from_ms is None else from_ms
    end = last if to_ms is None else to_ms
    if begin >= end:
        raise click.UsageError(
            f"the period is empty: from {told_at(begin)} to {told_at(end)}; --from must be before "
            "--to, and records must lie behind it"
        )
    measured = kpis(episodes(own), begin, end)
    if as_json:
        click.echo(msgspec.json.encode(_object(measured)))
        return
    for line in _told(measured):
        click.echo(line)


def _object(of: Kpis) -> dict[str, object]:
    told = of._asdict() | {
        "intervals": [{"start": at, "alerts": count} for at, count in of.intervals.items()]
    }
    rows = {name: [each._asdict() for each in getattr(of, name)] for name in _ROWS}
    return told | rows | {"checks": [each._asdict() for each in checks(of)]}


_ROWS = ("days", "floods", "standing", "bad_actors")


def _told(of: Kpis) -> Iterator[str]:
    yield f"{told_at(of.from_ms)} to {told_at(of.to_ms)} UTC: {of.alerts} alerts"
    yield ""
    yield from aligned(("measure", "value", "target", ""), [_row(each) for each in checks(of)])
    if of.bad_actors:
        yield ""
        rows = [(f"{a.share:.0%}", a.alerts, a.fingerprint) for a in of.bad_actors]
        yield from aligned(("share", "alerts", "rule/device/metric"), rows)
    if of.median_ack_ms is not None:
        yield ""
        after = of.median_ack_ms / 60_000
        yield f"acknowledged: {of.acknowledged} of {of.alerts}, half within {after:.4g} min"
    yield ""
    days = [
        (told_at(d.start)[:10], d.alerts, d.peak, d.flood_ms // 60_000, d.chattering, d.standing)
        for d in of.days
        if d != d._replace(alerts=0, peak=0, flood_ms=0, chattering=0, standing=0)
    ]
    columns = ("day", "alerts", "most in 10 min", "flood min", "chattering", "standing")
    yield from aligned(columns, days)
    quiet = len(of.days) - len(days)
    if quiet:
        yield f"and {quiet} day{'s' if quiet > 1 else ''} of nothing"
    for flood in of.floods:
        yield f"flood: {told_at(flood.start)} to {told_at(flood.end)}, {flood.alerts} alerts"
    for name in of.chattering:
        yield f"chatters: {name}"
    for each in of.standing:
        yield f"stands since {told_at(each.on)}: {each.fingerprint}"


def _row(of: Check) -> tuple[str, str, str, str]:
    return _NAMES[of.name], f"{of.value:.4g}", of.target, _OK[of.ok]
