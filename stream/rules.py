"""Rules: what a rule file means, checked for what cannot work.

Reading a file touches nothing but the file: no network, no data.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from schemas.config import Complaint, ConfigError
from schemas.toml_lines import KeyPath
from stream.alert_record import FIELDS, PLACEHOLDER
from stream.baselines_said import baseline_of
from stream.conditions_said import when_of
from stream.pane_sizes import PANES_MS, pane_ms, pane_sizes
from stream.rule import Match, Rule, Rules
from stream.rule_file import Globs, MatchFile, Parsed, RuleEntry, SensorEntry, read_rule_file
from stream.sensor_said import sensor_rules, silence_rule
from stream.severities import severities_of
from stream.windows import WindowSpec

__all__ = ["Match", "Rule", "Rules", "load_rules", "pane_sizes", "parse_rules", "rules_text"]

PACKS = files("stream").joinpath("packs")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_GLOB = re.compile(r"[A-Za-z0-9_.*?\[\]!-]{1,129}")
_MAX_PANES = 1440

Placed = tuple[int, Rule]
"""A rule, and which entry of the file it is from."""


def parse_rules(text: str, name: str = "rules") -> Rules:
    """Read a rule file's text.

    Args:
        text: YAML.
        name: how messages call it, usually its path.

    Raises:
        ConfigError: with every mistake found, each with file, line, key and what was expected.
    """
    parsed = read_rule_file(text, name)
    complaints: list[Complaint] = []
    placed = [
        (index, rule)
        for index, entry in enumerate(parsed.rules)
        for rule in _rules(entry, parsed, ("rules", index), complaints)
    ]
    if not parsed.rules:
        complaints.append(Complaint(("rules",), "expected at least one rule"))
    complaints += _twice(placed)
    parsed.refuse(complaints)
    parsed.refuse(list(_costly(placed)))
    return Rules(tuple(rule for _, rule in placed))


def rules_text(source: str) -> str:
    """Return the text of a rule file or shipped pack that has passed :func:`parse_rules`.

    Raises:
        ConfigError: neither file nor pack, or wrong inside.
    """
    return _read(source)[0]


def load_rules(source: str) -> Rules:
    """Read a rule file, or a shipped pack by its name; see :func:`rules_text`."""
    return _read(source)[1]


def packs() -> list[str]:
    """Return the names of the shipped packs."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in PACKS.iterdir()
        if entry.name.endswith(".yaml")
    )


def _read(source: str) -> tuple[str, Rules]:
    try:
        if source in packs():
            text = PACKS.joinpath(f"{source}.yaml").read_text("utf-8")
        else:
            text = Path(source).read_text("utf-8")
    except FileNotFoundError as error:
        known = ", ".join(packs())
        raise ConfigError([f"{source}: no such rule file, and no pack; packs: {known}"]) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([f"{source}: cannot read the rules: {reason}"]) from error
    return text, parse_rules(text, source)


def _rules(
    entry: RuleEntry | SensorEntry, parsed: Parsed, path: KeyPath, complaints: list[Complaint]
) -> Iterator[Rule]:
    """Yield the rules that an entry stands for."""
    if isinstance(entry, SensorEntry):
        complaints += _text_mistakes(entry, path)
        match = _match(entry.match, (*path, "match"), complaints)
        when = when_of(entry.when, (*path, "when"), complaints)
        yield from sensor_rules(entry, match, when, path, complaints)
        return
    rule = _rule(entry, parsed, path, complaints)
    yield rule
    silence = silence_rule(entry, rule, path, complaints)
    if silence is not None:
        yield silence


def _rule(entry: RuleEntry, parsed: Parsed, path: KeyPath, complaints: list[Complaint]) -> Rule:
    complaints += _plain_mistakes(entry, path)
    window = _window(entry, (*path, "window"), complaints)
    rule = Rule(
        name=entry.name,
        version=entry.version,
        category=entry.category,
        match=_match(entry.match, (*path, "match"), complaints),
        window=window,
        min_samples=entry.min_samples,
        aggregate=entry.aggregate,
        op=entry.compare.op,
        to=entry.compare.to,
        baseline=baseline_of(entry.compare, parsed, (*path, "compare"), complaints),
        severities=severities_of(
            entry.compare.op, entry.severities, (*path, "severities"), complaints
        ),
        labels=entry.labels,
        annotations=entry.annotations,
        when=when_of(entry.when, (*path, "when"), complaints),
        cooldown_ms=int(entry.cooldown),
        realarm_ms=int(entry.realarm_after),
    )
    meaning = msgspec.json.encode(
        [rule.window, rule.aggregate, rule.op, rule.to, rule.baseline, rule.severities]
        + ([rule.when] if rule.when else [])
    )
    return msgspec.structs.replace(rule, digest=hashlib.sha256(meaning).hexdigest()[:12])


def _plain_mistakes(entry: RuleEntry, path: KeyPath) -> Iterator[Complaint]:
    yield from _text_mistakes(entry, path)
    if not 1 <= entry.min_samples <= 1_000_000:
        yield Complaint((*path, "min_samples"), f"expected 1 or more, got {entry.min_samples}")


def _text_mistakes(entry: RuleEntry | SensorEntry, path: KeyPath) -> Iterator[Complaint]:
    if not _NAME.fullmatch(entry.name):
        yield Complaint(
            (*path, "name"), f"expected lower-case letters, digits and _, got {entry.name!r}"
        )
    if not 0 <= entry.version < 1 << 31:
        yield Complaint((*path, "version"), f"expected 0 or more, got {entry.version}")
    for key, text in entry.annotations.items():
        for name in PLACEHOLDER.findall(text):
            if name not in FIELDS:
                yield Complaint(
                    (*path, "annotations", key),
                    f"knows no {{{{{name}}}}}; there are: {', '.join(FIELDS)}",
                )


def _window(entry: RuleEntry, path: KeyPath, complaints: list[Complaint]) -> WindowSpec:
    size, slide = int(entry.window.size), int(entry.window.slide)
    grow_to = None if entry.window.grow_to is None else int(entry.window.grow_to)
    if slide <= 0 or slide % PANES_MS[0]:
        complaints.append(
            Complaint((*path, "slide"), f"expected whole seconds, got {_told_ms(slide)}")
        )
    elif size <= 0 or size % slide:
        complaints.append(
            Complaint(
                (*path, "size"),
                f"expected a multiple of the slide, {_told_ms(slide)}, got {_told_ms(size)}",
            )
        )
    elif grow_to is not None and (grow_to <= size or grow_to % slide):
        complaints.append(
            Complaint(
                (*path, "grow_to"),
                f"expected more than size and a multiple of the slide, got {_told_ms(grow_to)}",
            )
        )
    if grow_to is None:
        return WindowSpec(size, slide)
    return WindowSpec(size, slide, entry.min_samples, grow_to)


def _match(match: MatchFile, path: KeyPath, complaints: list[Complaint]) -> Match:
    def globs(key: str, given: Globs) -> tuple[str, ...]:
        found = (given,) if isinstance(given, str) else tuple(given)
        complaints.extend(
            Complaint((*path, key), f"expected a name or a glob such as vibration_*, got {glob!r}")
            for glob in found or ("",)
            if not _GLOB.fullmatch(glob)
        )
        return found

    return Match(
        globs("metric", match.metric), globs("device", match.device), globs("site", match.site)
    )


def _twice(placed: Sequence[Placed]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for index, rule in placed:
        if rule.name in seen:
            yield Complaint(("rules", index, "name"), f"{rule.name!r} is there twice")
        seen.add(rule.name)


def _costly(placed: Sequence[Placed]) -> Iterator[Complaint]:
    """Refuse windows of so many panes that a series costs too much to remember and merge."""
    pane_of = pane_ms(Rules(tuple(rule for _, rule in placed)))
    for index, rule in placed:
        longest = max(rule.window.size_ms, rule.window.grow_to_ms)
        pane = min(map(pane_of, rule.match.metric))
        if longest > _MAX_PANES * pane:
            yield Complaint(
                ("rules", index, "window"),
                f"makes {longest // pane} panes of {_told_ms(pane)}, at most {_MAX_PANES} are "
                "allowed; the slides of all rules on a metric decide its pane",
            )


def _told_ms(ms: int) -> str:
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"
