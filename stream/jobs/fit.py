"""Whether a planned job can go on from a snapshot: what the JobManager would ask, asked before."""

from typing import NamedTuple


class Kept(NamedTuple):
    """One operator's state in a snapshot; ids are hexadecimal, names may be missing."""

    operator_id: str
    name: str | None
    max_parallelism: int
    parallelism: int
    size_bytes: int


class Place(NamedTuple):
    """Where an operator of a planned job is: the name and limits of its vertex."""

    vertex: str
    max_parallelism: int
    parallelism: int


def misfits(states: list[Kept], planned: dict[str, Place]) -> list[str]:
    """Return why a planned job cannot take the states, one line each; empty when it can."""
    found = []
    for state in states:
        place = planned.get(state.operator_id)
        if place is None:
            found.append(
                f"{state.name or 'an operator'} ({state.operator_id}) has {state.size_bytes} bytes "
                "of state, and is not in the new plan"
            )
        elif place.max_parallelism != state.max_parallelism:
            found.append(
                f"{place.vertex}: its keys were spread over {state.max_parallelism} groups (the "
                f"maximum parallelism), the new plan spreads them over {place.max_parallelism}"
            )
        elif place.parallelism > state.max_parallelism:
            found.append(
                f"{place.vertex}: parallelism {place.parallelism} is more than the "
                f"{state.max_parallelism} groups its keys are spread over"
            )
    return found
