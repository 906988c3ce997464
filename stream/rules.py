"""Rules: what a rule file means, checked for what cannot work.

Reading a file touches nothing but the file: no network, no data.
"""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from schemas.amounts import told_ms
from schemas.config import Complaint, ConfigError
from schemas.toml_lines import KeyPath
from stream.alert_record import FIELDS
from stream.baselines import Fitted
from stream.baselines_said import baseline_of
from stream.compare_said import method_of
from stream.compounds_said import compounds_of
from stream.conditions_said import when_of
from stream.derive_said import Placed, derived_of, in_order, misfits, settled
from stream.globs import matches
from stream.match_said import match_of, rule_match
from stream.model_files import embedded
from stream.names_said import digest_of, mistakes
from stream.pane_sizes import PANES_MS, named, pane_ms, pane_sizes
from stream.rollups_said import rollups_of, sessions_of
from stream.rule import Match, Rule, Rules
from stream.rule_file import Parsed, RuleEntry, SensorEntry, read_rule_file
from stream.sensor_said import sensor_rules, silence_of, silence_rule
from stream.severities import severities_of
from stream.suppress_said import suppress_of
from stream.windows import WindowSpec

__all__ = ["Match", "Rule", "Rules", "load_rules", "pane_sizes", "parse_rules", "rules_text"]

PACKS = files("stream").joinpath("packs")
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
    placed = [
        (index, rule)
        for index, entry in parsed.rules.items()
        for rule in _rules(entry, parsed, ("rules", index), complaints)
    ]
    rules = tuple(rule for _, rule in placed)
    if not parsed.rules:
        complaints.append(Complaint(("rules",), "expected at least one rule on readings"))
    names_at = [(index, rule.name) for index, rule in placed]
    complaints += _twice([*names_at, *((i, each.name) for i, each in parsed.compounds.items())])
    compounds = compounds_of(parsed, rules, complaints)
    names = [*(rule.name for rule in rules), *(rule.name for rule in compounds)]
    derived = in_order(list(_derived(parsed, complaints)), complaints)
    loaded = Rules(
        rules,
        rollups_of(parsed.file.rollups, complaints),
        sessions_of(parsed.file.sessions, complaints),
        compounds,
        suppress_of(parsed.file.suppress, names, complaints),
        tuple(each.derived for each in derived),
    )
    parsed.refuse(complaints)
    made = settled(loaded)
    places = [index for index, _ in placed]
    wrong = [*misfits(made, [each.at for each in derived]), *_costly(made, places)]
    parsed.refuse(wrong)
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


def _rules(
    entry: RuleEntry | SensorEntry, parsed: Parsed, path: KeyPath, complaints: list[Complaint]
) -> Iterator[Rule]:
    """Yield the rules on readings that an entry stands for."""
    if isinstance(entry, SensorEntry):
        complaints += mistakes(entry, path, FIELDS)
        match = rule_match(entry.match, (*path, "match"), complaints)
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
    severities = severities_of(entry, path, complaints)
    rule = Rule(
        name=entry.name,
        version=entry.version,
        category=entry.category,
        match=rule_match(entry.match, (*path, "match"), complaints),
        window=window,
        min_samples=entry.min_samples,
        aggregate=entry.aggregate,
        op=entry.compare.op,
        to=entry.compare.to,
        baseline=baseline_of(entry.compare, parsed, (*path, "compare"), complaints),
        severities=severities,
        labels=entry.labels,
        annotations=entry.annotations,
        when=when_of(entry.when, (*path, "when"), complaints),
        cooldown_ms=int(entry.cooldown),
        method=method_of(entry, severities, path, complaints),
        iso=entry.iso,
        realarm_ms=int(entry.realarm_after),
        silence="ignored" if silence_of(entry).action == "ignore" else "",
    )
    # What a model says of a series counts for that series alone: the engine adds it.
    said = "fitted" if isinstance(rule.baseline, Fitted) else rule.baseline
    meaning = [rule.window, rule.aggregate, rule.op, rule.to, said, rule.severities]
    optional = [each for each in (rule.when, rule.method) if each is not None]
    return msgspec.structs.replace(rule, digest=digest_of(meaning + optional))


def _plain_mistakes(entry: RuleEntry, path: KeyPath) -> Iterator[Complaint]:
    yield from mistakes(entry, path, FIELDS)
    if not 1 <= entry.min_samples <= 1_000_000:
        yield Complaint((*path, "min_samples"), f"expected 1 or more, got {entry.min_samples}")


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


def _twice(names: Sequence[tuple[int, str]]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for index, name in sorted(names):
        if name in seen:
            yield Complaint(("rules", index, "name"), f"{name!r} is there twice")
        seen.add(name)


def _costly(rules: Rules, places: Sequence[int]) -> Iterator[Complaint]:
    """Refuse windows of so many panes that a series costs too much to remember and merge."""
    pane_of, names = pane_ms(rules), named(rules)
    for index, rule in zip(places, rules.rules, strict=True):
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
