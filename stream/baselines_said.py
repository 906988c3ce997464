"""Baselines of a rule file: which one a rule means, checked for what cannot work."""

from collections.abc import Iterator

from schemas.config import Complaint
from schemas.toml_lines import KeyPath
from stream.baselines import BaselineSpec, Constant, Decayed, Frozen, Seasonal
from stream.rule_file import (
    BaselineFile,
    CompareFile,
    ConstantFile,
    DecayedFile,
    FrozenFile,
    Parsed,
)


def baseline_of(
    compare: CompareFile, parsed: Parsed, path: KeyPath, complaints: list[Complaint]
) -> BaselineSpec | None:
    """Return the baseline that a comparison needs; add what is wrong to ``complaints``."""
    name = compare.baseline
    if compare.to == "value":
        if name is not None:
            complaints.append(Complaint((*path, "baseline"), 'means nothing with "to: value"'))
        return None
    if name not in parsed.baselines:
        known = ", ".join(parsed.baselines) or "none"
        complaints.append(
            Complaint((*path, "baseline"), f"zscore needs one of the file's baselines: {known}")
        )
        return None
    file, where = parsed.baselines[name], ("baselines", name)
    complaints += _mistakes(file, where)
    return _made(file)


def _made(file: BaselineFile) -> BaselineSpec:
    match file:
        case DecayedFile():
            decayed = Decayed(
                file.n0, int(file.counted_every), file.warmup, file.floor_rel, file.freeze_while,
                file.floor,
            )  # fmt: skip
            return Seasonal(decayed) if file.kind == "seasonal" else decayed
        case FrozenFile():
            return Frozen(int(file.learn_for), int(file.skip_first), file.floor_rel, file.floor)
        case ConstantFile():
            return Constant(file.mean, file.std)


def _mistakes(file: BaselineFile, path: KeyPath) -> Iterator[Complaint]:
    if isinstance(file, ConstantFile):
        if file.std <= 0:
            yield Complaint((*path, "std"), f"expected more than 0, got {file.std:g}")
        return
    least = {"floor_rel": 0.0, "floor": 0.0}
    if isinstance(file, DecayedFile):
        least |= {"n0": 1.0, "warmup": 0.0, "counted_every": 1.0}
    for key, bound in least.items():
        if getattr(file, key) < bound:
            yield Complaint((*path, key), f"expected {bound:g} or more")
    if isinstance(file, DecayedFile) and file.warmup > file.n0:
        yield Complaint((*path, "warmup"), f"is never reached with n0 {file.n0:g}")
    if isinstance(file, FrozenFile) and file.learn_for <= 0:
        yield Complaint((*path, "learn_for"), "expected more than 0: nothing would be learned")
