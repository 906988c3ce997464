"""Windows and alerts as documents: places, ids and fields that follow from the record alone."""

import json

import msgspec
import pytest
from sink_rig import START_MS, alert, window

from schemas.records import Alert, WindowFeatures
from stream.sinks.documents import document, templates

TEMPLATES = templates("t-")


def properties(topic: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = TEMPLATES[f"t-{topic}"]["template"]["mappings"][
        "properties"
    ]
    return found


def test_a_window_goes_to_its_month_under_its_key() -> None:
    made = document(window(3), "t-")
    assert made.index_name == "t-windows-2025.06"
    assert made.id == f"plant.pump-3|temperature|{START_MS}|{START_MS + 10_000}"
    assert json.loads(made.source)["slope"] == -1e-300


def test_a_transition_of_an_alert_is_a_document_of_its_own() -> None:
    fired, resolved = document(alert(1), "t-"), document(alert(1, 1), "t-")
    assert fired.index_name == resolved.index_name == "t-alerts-2025"
    assert fired.id == f"{alert(1).alert_id}|FIRED|{alert(1).emitted_at}|0"
    assert fired.id != resolved.id
    assert document(alert(1), "t-") == fired


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_has_no_number_for_is_null(value: float) -> None:
    assert json.loads(document(window(1, max=value), "t-").source)["max"] is None


def test_an_id_is_never_longer_than_what_is_taken() -> None:
    long, longer = (document(window(1, device_id="ü" * n), "t-") for n in (300, 301))
    assert len(long.id) == len(longer.id) == 64
    assert long.id != longer.id
    short = document(window(1, device_id="d" * 400), "t-")
    assert short.id.startswith("d" * 400)


@pytest.mark.parametrize("at", [1 << 62, -(1 << 62)])
def test_a_time_that_no_calendar_has_goes_somewhere(at: int) -> None:
    assert document(window(1, window_end=at), "t-").index_name == "t-windows-beyond"


def test_labels_are_words_that_can_be_searched() -> None:
    made = json.loads(document(alert(1, labels={"team": "a", "hall": "7"}), "t-").source)
    assert made["label_words"] == ["team=a", "hall=7"]
    assert made["labels"] == {"team": "a", "hall": "7"}


@pytest.mark.parametrize(("topic", "kind"), [("windows", WindowFeatures), ("alerts", Alert)])
def test_every_field_has_a_type_and_nothing_is_guessed(topic: str, kind: type) -> None:
    template = TEMPLATES[f"t-{topic}"]
    assert template["index_patterns"] == [f"t-{topic}-*"]
    assert template["template"]["mappings"]["dynamic"] is False
    names = {field.name for field in msgspec.structs.fields(kind)}
    assert properties(topic).keys() - {"label_words"} == names


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("alert_id", "keyword"),
        ("event", "keyword"),
        ("unit", "keyword"),
        ("seq", "long"),
        ("value", "double"),
        ("score", "double"),
        ("starts_at", "date"),
        ("ends_at", "date"),
        ("late", "boolean"),
        ("labels", "object"),
    ],
)
def test_a_field_is_mapped_as_what_it_is(field: str, kind: str) -> None:
    assert properties("alerts")[field]["type"] == kind
