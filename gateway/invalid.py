"""The first of four error words: invalid input is dead-lettered, and the gateway goes on."""

from typing import Literal

Reason = Literal[
    "BAD_JSON",
    "BAD_PAYLOAD",
    "MISSING",
    "NO_ROUTE",
    "NOT_A_NUMBER",
    "NOT_FINITE",
    "OUT_OF_RANGE",
    "BAD_ID",
    "BAD_UNIT",
    "RATE_LIMITED",
    "TOO_LARGE",
    "RETAINED",
    "UNDECODABLE",
    "REJECTED_BY_KAFKA",
    "GAP",
]


class Invalid(Exception):
    """A message that can never become a reading, with a reason code and a word of detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
