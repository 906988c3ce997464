"""Votes: how many of a list of rules have an alert on the device at the same time."""

from stream.compound import Found, Votes
from stream.standing import Board, standing


def count_votes(of: Votes, board: Board, at: int) -> Found:
    """Return how many of the rules have an alert that stands at a time, ms, on any metric."""
    own = [each for each in standing(board, at) if each.rule in of.of]
    names = tuple(sorted({each.rule for each in own}))
    since = min((each.since for each in own), default=at)
    return Found(float(len(names)), float(len(names)), since, names)
