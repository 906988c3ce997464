"""Baselines of a rule file: which one a rule means, checked for what cannot work."""

from collections.abc import Iterator

from schemas.config import Complaint, nearest
from schemas.toml_lines import KeyPath
from stream.baselines import BaselineSpec, Constant, Decayed, Fitted, Frozen, Seasonal
from stream.models import FittedBaseline
from stream.rule_file import (
    BaselineFile,
    CompareFile,
    ConstantFile,
    DecayedFile,
    FittedFile,
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
    if isinstance(file, FittedFile):
        return _fitted(file, parsed, where, complaints)
    return _made(file)


def _fitted(
    file: FittedFile, parsed: Parsed, path: KeyPath, complaints: list[Complaint]
) -> Fitted | None:
    model = parsed.models.get(file.model)
    if isinstance(model, FittedBaseline):
        return Fitted(
            {
                device: {metric: Constant(each.mean, each.std) for metric, each in own.items()}
                for device, own in model.devices.items()
            }
        )
    known = [name for name, each in parsed.models.items() if isinstance(each, FittedBaseline)]
    near = nearest(file.model, known) or f"; there are: {', '.join(known) or 'none'}"
    said = f"{file.model!r} is no baseline model under models{near}"
    complaints.append(Complaint((*path, "model"), said))
    return None


def _made(file: DecayedFile | FrozenFile | ConstantFile) -> BaselineSpec:
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
    if isinstance(file, FittedFile):
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
