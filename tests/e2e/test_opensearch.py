"""The indexer against a real OpenSearch: its documents are the topics', whatever is killed."""

import json
from pathlib import Path
from typing import Any

import pytest
from e2e_rig import prepare, records
from sink_rig import START_MS, Feed, alert, asked, beside, sound_records, window
from stack_fixture import RunningStack, eventually

from compose.consumed import committed
from compose.processes import command, end, start
from gateway.follow import ends
from schemas.records import Alert, DeadLetter, WindowFeatures
from stream.sinks.documents import document

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]
PREFIX = "search."
KINDS: dict[str, Any] = {"windows": WindowFeatures, "alerts": Alert}
# A month whose index was made by somebody else, with another mapping.
FOREIGN_MS = 1_500_000_000_000
Documents = dict[tuple[str, str], Any]
"""By index and id."""


@pytest.fixture
def sinks(stack: RunningStack, tmp_path: Path) -> Path:
    """OpenSearch beside the stack, and a configuration with topics of the test's own."""
    text = beside(stack, "opensearch").replace('"tidegate."', f'"{PREFIX}"')
    path = tmp_path / "sinks.toml"
    path.write_text(text + 'index_prefix = "plant-"\n')
    return path


def in_cluster(sinks: Path) -> Documents:
    asked(sinks, "POST", "/plant-*/_refresh")
    found = asked(sinks, "GET", "/plant-*/_search?size=10000")["hits"]["hits"]
    return {(each["_index"], each["_id"]): each["_source"] for each in found}


def on_topics(stack: RunningStack) -> Documents:
    found: Documents = {}
    for topic, kind in KINDS.items():
        for record in sound_records(stack.endpoints, PREFIX + topic, kind):
            made = document(record, "plant-")
            if "2017.07" not in made.index_name:
                found[made.index_name, made.id] = json.loads(made.source)
    return found


def read_to_the_end(stack: RunningStack) -> bool:
    """Say whether the indexer has committed the end of every partition that has records."""
    kafka = stack.endpoints.kafka_bootstrap
    for topic in KINDS:
        last = ends(kafka, PREFIX + topic)
        had = committed(kafka, f"{PREFIX}opensearch", PREFIX + topic, sorted(last))
        # Behind a transaction's last record stands its marker.
        if any(last[each] - had[each] > 1 for each in last):
            return False
    return True


def indexed(stack: RunningStack, sinks: Path, *words: str) -> dict[str, int]:
    done = stack.tidegate(
        "sinks", "opensearch", "run", "--once", "--json", f"--sinks={sinks}", *words
    )
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def test_documents_are_the_topics_whatever_is_killed_and_replayed(
    stack: RunningStack, sinks: Path, tmp_path: Path
) -> None:
    prepare(stack.endpoints, PREFIX)
    early = stack.tidegate("sinks", "opensearch", "run", "--once", f"--sinks={sinks}")
    assert early.returncode == 78
    assert "lacks this version's index templates plant-windows" in early.stderr
    made = stack.tidegate("sinks", "opensearch", "setup", f"--sinks={sinks}")
    assert made.returncode == 0, made.stderr
    asked(
        sinks,
        "PUT",
        "/plant-windows-2017.07",
        {"mappings": {"properties": {"site": {"type": "long"}}}},
    )
    feed = Feed(stack.endpoints, PREFIX)
    fill(feed)
    argv = command("sinks", "opensearch", "run", f"--sinks={sinks}")
    indexer = start(argv, tmp_path / "indexer.log")
    try:
        eventually("some documents are there", lambda: in_cluster(sinks))
        indexer.kill()
        indexer.wait()
        feed.windows(window(number) for number in range(2500, 3500))
        indexer = start(argv, tmp_path / "indexer.log")
        last = document(window(3499), "plant-")
        eventually("the second goes on", lambda: (last.index_name, last.id) in in_cluster(sinks))
        old = stack.kill("opensearch")
        feed.windows(window(number) for number in range(3400, 4000))
        stack.await_restart("opensearch", old)
        eventually("all is read", lambda: read_to_the_end(stack), 90)
    finally:
        assert end(indexer) == 0, (tmp_path / "indexer.log").read_text()
    check(stack, sinks)
    asked(
        sinks,
        "POST",
        "/plant-*/_delete_by_query?refresh=true",
        {"query": {"term": {"device_id": "plant.pump-3"}}},
    )
    assert in_cluster(sinks) != on_topics(stack)
    counts = indexed(stack, sinks, "--replay")
    assert in_cluster(sinks) == on_topics(stack)
    assert (counts["rejected"], counts["undecodable"]) == (2, 2)


def fill(feed: Feed) -> None:
    """Repeats, corrections, what is not committed, and what cannot be a document."""
    feed.windows(window(number) for number in range(3000))
    feed.windows(window(number, mean=float("nan"), max=float("inf")) for number in range(50))
    feed.windows([window(1, device_id="p" * 700, site="a\0b")])
    feed.windows(window(number, window_end=FOREIGN_MS) for number in range(2))
    feed.alerts(alert(number) for number in range(300))
    feed.alerts((alert(number, 1) for number in range(100)), commit=False)
    feed.alerts((alert(number, 1, value=77.0) for number in range(100)), commit=True)
    feed.raw("windows", "junk", b"no Avro")
    feed.raw("alerts", "tombstone", None)
    feed.flush()


def check(stack: RunningStack, sinks: Path) -> None:
    there = in_cluster(sinks)
    assert there == on_topics(stack)
    assert len(there) == 4001 + 400
    letters = records(stack.endpoints, f"{PREFIX}dead-letters", DeadLetter)
    assert {(each.reason, each.kafka_topic) for each in letters} == {
        ("UNDECODABLE", f"{PREFIX}windows"),
        ("UNDECODABLE", f"{PREFIX}alerts"),
        ("REJECTED", f"{PREFIX}windows"),
    }
    assert any(each.payload == b"no Avro" for each in letters)
    refused = [each for each in letters if each.reason == "REJECTED"]
    assert all("mapper_parsing_exception" in each.detail for each in refused)
    assert all(b"plant" in each.payload and each.kafka_offset is not None for each in refused)
    found = asked(sinks, "GET", "/plant-alerts-*/_count?q=label_words:%22team=mechanics%22")
    assert found["count"] == 400
    since = {"query": {"range": {"starts_at": {"gte": START_MS + 299 * 60_000}}}}
    assert asked(sinks, "GET", "/plant-alerts-*/_count", since)["count"] == 1
