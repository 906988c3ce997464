"""The background process that owns the stack: starts its parts, watches them, stops them.

Run as ``python -m compose.local.supervisor STATE``. SIGTERM stops the stack; SIGHUP makes it read
again which parts are wanted. Signals are waited for, not caught, and everything is started from
the main thread: the kernel ends a part with the thread that started it.
"""

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from compose.local import databases, flink, parts, sweep
from compose.local.children import Child
from compose.local.console import serve
from compose.local.endpoints import Endpoints, endpoints_of
from compose.local.gateway_config import gateway_toml
from compose.local.layout import Layout
from compose.local.parts import Part
from compose.local.ports import Reservations, pick, read_ports, write_ports
from compose.local.resume import Resumption
from compose.local.settings import START_ORDER
from compose.local.sinks_config import sinks_toml
from compose.local.state import StackState, Wanted, publish, read_wanted, take_lock
from compose.local.tools import Tools, find_tools
from schemas.failure import Failure

log = logging.getLogger("tidegate.local")

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_BUSY_TICK_S = 0.1
_IDLE_TICK_S = 0.5
_SWEEP_S = 15.0
_BUILDERS: Mapping[str, Callable[[Layout, Tools, Mapping[str, int]], Part]] = {
    "kafka": parts.kafka,
    "mosquitto": parts.mosquitto,
    "s3": parts.s3,
    "registry": parts.registry,
    "postgres": databases.postgres,
    "opensearch": databases.opensearch,
    "jobmanager": flink.jobmanager,
    "taskmanager": flink.taskmanager,
}


@dataclass(slots=True)
class Stack:
    """The supervisor's own view; ``publish`` shows it to the others."""

    layout: Layout
    ports: Mapping[str, int]
    endpoints: Endpoints
    run: str
    started_ms: int
    resumption: Resumption
    children: dict[str, Child] = field(default_factory=dict)
    reaper: "subprocess.Popen[bytes] | None" = None
    shown: StackState | None = None
    asked: int = 0
    refused: str = ""
    stopping: bool = False

    @property
    def mark(self) -> str:
        """Return what all processes of this run carry in their environment."""
        return sweep.mark_of(self.layout.root, self.run)

    @property
    def settled(self) -> bool:
        """Say whether there is nothing to do but to watch."""
        return not self.resumption.names and all(
            child.status == "ready" for child in self.children.values()
        )

    def answer(self, wanted: Wanted) -> None:
        """Take the wanted parts on and start what does not run, or say why that cannot be."""
        self.asked, self.refused = wanted.number, ""
        try:
            self._add(wanted.parts)
        except Failure as failure:
            self.refused = str(failure)
            log.error("the wanted parts cannot be started: %s", failure)  # noqa: TRY400

    def _add(self, wanted: list[str]) -> None:
        tools = find_tools(self.layout, wanted)
        if {"jobmanager", "taskmanager"} & set(wanted):
            flink.prepare(self.layout, tools, self.ports)
        for name in (part for part in START_ORDER if part in wanted):
            if name not in self.children:
                part = _BUILDERS[name](self.layout, tools, self.ports)
                self.children[name] = Child(part, self.layout.log(name), self.mark)
            self.children[name].retry()

    def step(self, now: float, pool: ThreadPoolExecutor) -> None:
        """Do what is due."""
        if self.reaper is None or self.reaper.poll() is not None:
            self.reaper = _start_reaper(self.mark, self.layout)
        jobmanager = self.children.get("jobmanager")
        starts = jobmanager.starts if jobmanager else 0
        for child in self.children.values():
            before = child.status
            child.step(now, pool)
            if child.status != before:
                log.info("%s: %s -> %s %s", child.part.name, before, child.status, child.why)
        if jobmanager is not None and jobmanager.starts > starts:
            self.resumption.begin()
        if all(child.status == "ready" for child in self.children.values()):
            self.resumption.step(now, pool)
        self.show()

    def show(self) -> None:
        """Publish the state if it changed."""
        state = StackState(
            pid=os.getpid(),
            run=self.run,
            started_ms=self.started_ms,
            endpoints=asdict(self.endpoints),
            parts=[child.state() for child in self.children.values()],
            resuming=self.resumption.names,
            resuming_why=self.resumption.why,
            asked=self.asked,
            refused=self.refused,
            stopping=self.stopping,
        )
        if state != self.shown:
            self.shown = state
            publish(self.layout, state)

    def stop(self) -> None:
        """Stop everything in reverse order of start."""
        self.stopping = True
        self.resumption.stop()
        self.resumption.names = []
        self.show()
        for name in reversed(START_ORDER):
            if name in self.children:
                self.children[name].stop()
                self.show()
        left = sweep.end_marked(sweep.of_run(self.mark), bound_s=_SWEEP_S)
        if left:
            log.error("processes that cannot be ended: %s", left)


def supervise(layout: Layout) -> None:
    """Own the stack until told to stop.

    Raises:
        Failure: another supervisor has the state folder, or something needed is missing.
    """
    lock = take_lock(layout)
    if lock is None:
        raise Failure(f"{layout.root} has a supervisor already")
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    reservations = Reservations()  # hold until this function returns
    with lock:
        stack = _prepare(layout, reservations)
        server = serve(stack.ports["console"], layout, lambda: stack.shown)
        try:
            with ThreadPoolExecutor(max_workers=len(START_ORDER) + 1) as pool:
                _run(stack, pool)
        finally:
            server.shutdown()
            reservations.release()


def _prepare(layout: Layout, reservations: Reservations) -> Stack:
    left = sweep.end_marked(sweep.of_state(layout.root), bound_s=_SWEEP_S)
    if left:
        raise Failure(f"processes of an earlier stack cannot be ended: {left}")
    shutil.rmtree(layout.scratch, ignore_errors=True)
    for folder in (layout.scratch, layout.conf, layout.logs):
        folder.mkdir(parents=True, exist_ok=True)
    ports = pick(read_ports(layout.ports), reservations, random.Random())
    write_ports(layout.ports, ports)
    endpoints = endpoints_of(layout, ports)
    layout.gateway_config.write_text(gateway_toml(layout, endpoints, ports))
    layout.sinks_config.write_text(sinks_toml(layout, endpoints, ports))
    run = uuid.uuid4().hex[:8]
    mark = sweep.mark_of(layout.root, run)
    resumption = Resumption(layout, endpoints.flink_url, mark)
    stack = Stack(layout, ports, endpoints, run, time.time_ns() // 1_000_000, resumption)
    stack.answer(read_wanted(layout))
    return stack


def _run(stack: Stack, pool: ThreadPoolExecutor) -> None:
    while True:
        stack.step(time.monotonic(), pool)
        got = signal.sigtimedwait(_SIGNALS, _IDLE_TICK_S if stack.settled else _BUSY_TICK_S)
        # Suspended beyond the tick, CPython returns whatever stood in memory, not a signal.
        signo = got.si_signo if got else 0
        if signo in (signal.SIGTERM, signal.SIGINT):
            log.info("stopping")
            stack.stop()
            return
        if signo == signal.SIGHUP:
            stack.answer(read_wanted(stack.layout))


def _start_reaper(mark: str, layout: Layout) -> "subprocess.Popen[bytes]":
    """Start what cleans up after a supervisor that was killed: it sees its pipe close."""
    with layout.log("reaper").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", sweep.__file__, mark],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )


def main(root: Path) -> int:
    """Run in the background; what goes wrong is in the log, for `local up` to show."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        supervise(Layout(root))
    except Failure as failure:
        log.error("%s", failure)  # noqa: TRY400 - a message for a person
        return failure.exit_code
    except (OSError, msgspec.MsgspecError):
        log.exception("the supervisor gives up")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
