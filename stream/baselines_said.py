"""Baselines of a rule file: which one a rule means, checked for what cannot work."""

from collections.abc import Iterator

from schemas.config import Complaint, nearest
from schemas.toml_lines import KeyPath
from stream.baseline_file import BaselineFile, ConstantFile, DecayedFile, FittedFile, FrozenFile
from stream.baselines import (
    BaselineSpec,
    Constant,
    Decayed,
    Fitted,
    Frozen,
    Median,
    Seasonal,
    Weekly,
)
from stream.detectors import Compare
from stream.lifecycle import Phase
from stream.models import FittedBaseline
from stream.rule_file import CompareFile, Parsed

_ALONE: tuple[Compare, ...] = ("value", "rate", "time_to_limit")
"""What is compared without a baseline."""
_FREEZE: tuple[Phase, ...] = ("PENDING", "FIRING")
"""When a baseline learns nothing unless said otherwise: it would learn the fault.

Not so for z-scores: the rule of that kind was published with a baseline that learns on.
"""


def baseline_of(
    compare: CompareFile, parsed: Parsed, path: KeyPath, complaints: list[Complaint]
) -> BaselineSpec | None:
    """Return the baseline that a comparison needs; add what is wrong to ``complaints``."""
    name, to = compare.baseline, compare.to
    if to in _ALONE:
        if name is not None:
            complaints.append(Complaint((*path, "baseline"), f'means nothing with "to: {to}"'))
        return None
    if name not in parsed.baselines:
        known = ", ".join(parsed.baselines) or "none"
        complaints.append(
            Complaint((*path, "baseline"), f"{to} needs one of the file's baselines: {known}")
        )
        return None
    file, where = parsed.baselines[name], ("baselines", name)
    complaints += _mistakes(file, where)
    of_median = isinstance(file, FrozenFile) and file.stat == "median"
    if of_median != (to == "robust_z") and to in ("zscore", "robust_z"):
        complaints.append(
            Complaint(
                (*path, "to"),
                f'"{to}" does not go with baseline {name}: robust_z is for one of kind frozen with '
                "stat median, zscore for all others",
            )
        )
    if to == "ratio" and isinstance(file, ConstantFile) and file.mean <= 0:
        complaints.append(
            Complaint((*where, "mean"), f"a ratio needs more than 0, got {file.mean:g}")
        )
    if isinstance(file, FittedFile):
        return _fitted(file, parsed, where, complaints)
    return _made(file, to)


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


def _made(file: DecayedFile | FrozenFile | ConstantFile, to: Compare) -> BaselineSpec:
    match file:
        case DecayedFile():
            usual = () if to == "zscore" else _FREEZE
            decayed = Decayed(
                file.n0, int(file.counted_every), file.warmup, file.floor_rel,
                usual if file.freeze_while is None else file.freeze_while, file.floor,
            )  # fmt: skip
            if file.kind == "decayed":
                return decayed
            return Seasonal(decayed) if file.kind == "seasonal" else Weekly(decayed)
        case FrozenFile():
            frozen = Frozen(int(file.learn_for), int(file.skip_first), file.floor_rel, file.floor)
            return Median(frozen) if file.stat == "median" else frozen
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
