"""Rules: what a rule file means, checked for what cannot work.

Reading a file touches nothing but the file: no network, no data.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from schemas.amounts import told_ms
from schemas.config import Complaint, ConfigError
from schemas.toml_lines import KeyPath
from stream.alert_record import FIELDS, PLACEHOLDER
from stream.baselines import Fitted
from stream.baselines_said import baseline_of
from stream.conditions_said import when_of
from stream.derive_said import Placed, derived_of, in_order, misfits, settled
from stream.match_said import match_of
from stream.model_files import embedded
from stream.pane_sizes import PANES_MS, named, pane_ms, pane_sizes
from stream.rollups_said import rollups_of, sessions_of
from stream.rule import Match, Rule, Rules, matches
from stream.rule_file import Parsed, RuleEntry, read_rule_file
from stream.severities import severities_of
from stream.windows import WindowSpec

__all__ = ["Match", "Rule", "Rules", "load_rules", "pane_sizes", "parse_rules", "rules_text"]

PACKS = files("stream").joinpath("packs")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MAX_PANES = 1440


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
    rules = tuple(
        _rule(entry, parsed, ("rules", index), complaints)
        for index, entry in enumerate(parsed.file.rules)
    )
    if not rules:
        complaints.append(Complaint(("rules",), "expected at least one rule"))
    complaints += _twice(parsed.file.rules)
    rollups = rollups_of(parsed.file.rollups, complaints)
    sessions = sessions_of(parsed.file.sessions, complaints)
    derived = in_order(list(_derived(parsed, complaints)), complaints)
    parsed.refuse(complaints)
    made = settled(Rules(rules, rollups, sessions, tuple(each.derived for each in derived)))
    parsed.refuse([*misfits(made, [each.at for each in derived]), *_costly(made)])
    return made


def rules_text(source: str) -> str:
    """Return the text of a rule file or shipped pack that has passed :func:`parse_rules`.

    The models that it names are in the text: it needs no other file.

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
    shipped = source in packs()
    path = PACKS.joinpath(f"{source}.yaml") if shipped else Path(source)
    folder = PACKS if shipped else Path(source).parent
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        known = ", ".join(packs())
        raise ConfigError([f"{source}: no such rule file, and no pack; packs: {known}"]) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError([f"{source}: cannot read the rules: {reason}"]) from error
    text = embedded(text, source, folder)
    return text, parse_rules(text, source)


def _derived(parsed: Parsed, complaints: list[Complaint]) -> Iterator[Placed]:
    for index, entry in enumerate(parsed.file.derive):
        path: KeyPath = ("derive", index)
        match = match_of(entry.metric, entry.device, entry.site, path, complaints)
        found = derived_of(entry, match, parsed, path, complaints)
        if found is not None:
            yield Placed(index, found)


def _rule(entry: RuleEntry, parsed: Parsed, path: KeyPath, complaints: list[Complaint]) -> Rule:
    complaints += _plain_mistakes(entry, path)
    window = _window(entry, (*path, "window"), complaints)
    rule = Rule(
        name=entry.name,
        version=entry.version,
        category=entry.category,
        match=match_of(
            entry.match.metric, entry.match.device, entry.match.site, (*path, "match"), complaints
        ),
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
    )
    # What a model says of a series counts for that series alone: the engine adds it.
    told = "fitted" if isinstance(rule.baseline, Fitted) else rule.baseline
    meaning = msgspec.json.encode(
        [rule.window, rule.aggregate, rule.op, rule.to, told, rule.severities]
        + ([rule.when] if rule.when else [])
    )
    return msgspec.structs.replace(rule, digest=hashlib.sha256(meaning).hexdigest()[:12])


def _plain_mistakes(entry: RuleEntry, path: KeyPath) -> Iterator[Complaint]:
    if not _NAME.fullmatch(entry.name):
        yield Complaint(
            (*path, "name"), f"expected lower-case letters, digits and _, got {entry.name!r}"
        )
    if not 1 <= entry.min_samples <= 1_000_000:
        yield Complaint((*path, "min_samples"), f"expected 1 or more, got {entry.min_samples}")
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
            Complaint((*path, "slide"), f"expected whole seconds, got {told_ms(slide)}")
        )
    elif size <= 0 or size % slide:
        complaints.append(
            Complaint(
                (*path, "size"),
                f"expected a multiple of the slide, {told_ms(slide)}, got {told_ms(size)}",
            )
        )
    elif grow_to is not None and (grow_to <= size or grow_to % slide):
        complaints.append(
            Complaint(
                (*path, "grow_to"),
                f"expected more than size and a multiple of the slide, got {told_ms(grow_to)}",
            )
        )
    if grow_to is None:
        return WindowSpec(size, slide)
    return WindowSpec(size, slide, entry.min_samples, grow_to)


def _twice(entries: Sequence[RuleEntry]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.name in seen:
            yield Complaint(("rules", index, "name"), f"{entry.name!r} is there twice")
        seen.add(entry.name)


def _costly(rules: Rules) -> Iterator[Complaint]:
    """Refuse windows of so many panes that a series costs too much to remember and merge."""
    pane_of, names = pane_ms(rules), named(rules)
    for index, rule in enumerate(rules.rules):
        longest = max(rule.window.size_ms, rule.window.grow_to_ms)
        covered = [name for name in names if matches(rule.match.metric, name)]
        pane = min(map(pane_of, [*rule.match.metric, *covered]))
        if longest > _MAX_PANES * pane:
            yield Complaint(
                ("rules", index, "window"),
                f"makes {longest // pane} panes of {told_ms(pane)}, at most {_MAX_PANES} are "
                "allowed; the slides of all rules on a metric, the sizes of its roll-ups and the "
                "gaps of its sessions decide its pane",
            )
