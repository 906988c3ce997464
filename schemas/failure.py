"""Errors meant for a person, and the exit codes scripts rely on."""


class Failure(Exception):
    """Says what went wrong, where, and how to mend it; becomes one message and exit code 1."""

    exit_code = 1


class Unavailable(Failure):
    """Something this needs does not answer: exit code 69 (EX_UNAVAILABLE of sysexits.h)."""

    exit_code = 69


class RetryLater(Failure):
    """It cannot be done now but may be later: exit code 75 (EX_TEMPFAIL)."""

    exit_code = 75


class BadConfig(Failure):
    """The configuration is wrong: exit code 78 (EX_CONFIG); a restart will not help."""

    exit_code = 78
