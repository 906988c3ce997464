"""Play messages from the command line: where, from when, how fast, and what to say of it."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from simulators.clock import MINUTE_MS, iso, run_site, start_time
from simulators.message import Message, checked_site
from simulators.publisher import Published, publish
from simulators.ready import wait_ready

Generate = Callable[[str, int], Iterator[Message]]
"""Makes the messages of a site from a start in ms."""


@dataclass(frozen=True, slots=True)
class Playing:
    """The options that every way of playing shares."""

    url: str
    site: str
    start: str | None
    speed: float | None
    """Simulated seconds per second; None = as fast as acknowledged."""
    ledger: Path | None
    ready: str | None
    ready_within_s: float
    patience_s: float
    dry_run: bool
    as_json: bool


def play(how: Playing, generate: Generate, span_ms: int) -> None:
    """Publish what ``generate`` makes, tell how it went, and exit 130 if interrupted.

    Raises:
        click.UsageError: the clock would overtake the present.
        Failure: see `publish` and `wait_ready`.
    """
    now_ms = time.time_ns() // 1_000_000
    site = run_site(now_ms) if how.site == "auto" else checked_site(how.site)
    start_ms = start_time(how.start, now_ms=now_ms, span_ms=span_ms)
    messages = generate(site, start_ms)
    if how.dry_run:
        for message in messages:
            click.echo(f"{message.topic} {message.payload.decode()}")
        return
    _refuse_future(start_ms, span_ms, how.speed, now_ms)
    if how.ready:
        wait_ready(how.ready, within_s=how.ready_within_s)
    click.echo(f"site {site}, simulated clock from {iso(start_ms)}", err=True)
    with _interruptible() as stopped, _progress(start_ms, span_ms) as on_progress:
        done = publish(
            messages,
            how.url,
            speed=how.speed,
            ledger=how.ledger,
            on_progress=on_progress,
            stop=stopped,
            patience_s=how.patience_s,
        )
    _tell(done, site, start_ms, as_json=how.as_json)
    if done.stopped:
        sys.exit(130)


def _refuse_future(start_ms: int, span_ms: int, speed: float | None, now_ms: int) -> None:
    """Refuse times ahead of the wall clock: the gateway would clamp them."""
    lasts_ms = span_ms / speed if speed else 0.0
    ahead_ms = max(start_ms - now_ms, start_ms + span_ms - now_ms - lasts_ms)
    if ahead_ms > MINUTE_MS:
        raise click.UsageError(
            f"the simulated clock would run {ahead_ms / 60_000:.0f} min ahead of the real one, and "
            "the gateway clamps such times; choose an earlier --start, or --speed 1 from now on"
        )


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a wish to stop; the next ones do as they always did."""
    wanted = False
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number in signals:
            signal.signal(number, before[number])

    def wish(_number: int, _frame: FrameType | None) -> None:
        nonlocal wanted
        wanted = True
        restore()

    for number in signals:
        signal.signal(number, wish)
    try:
        yield lambda: wanted
    finally:
        restore()


@contextmanager
def _progress(start_ms: int, span_ms: int) -> Iterator[Callable[[Published], None] | None]:
    """Show simulated time as a bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    bar = click.progressbar(
        length=span_ms,
        label="simulated time",
        file=sys.stderr,
        item_show_func=lambda done: done and _rate(done),
    )
    with bar:

        def show(done: Published) -> None:
            bar.update(max(0, done.last_ts_ms - start_ms - bar.pos), done)

        yield show


def _rate(done: Published) -> str:
    per_s = done.acked_messages / done.seconds if done.seconds else 0.0
    return f"{done.acked_readings} readings taken, {per_s:,.0f} messages/s"


def _tell(done: Published, site: str, start_ms: int, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "site": site,
                    "start_ms": start_ms,
                    "messages": done.messages,
                    "published": done.acked_readings,
                    "unacked": done.unacked,
                    "resent": done.resent,
                    "seconds": round(done.seconds, 3),
                }
            )
        )
        return
    click.echo(
        f"{done.acked_readings} readings in {done.acked_messages} of {done.messages} messages "
        f"taken in {done.seconds:.1f} s, {done.unacked} not acknowledged"
    )
