"""`tidegate rules`: the commands that need nothing but the file, and those that take readings."""

from compose.rules_test import test
from compose.rules_why_not import why_not
from stream.rules_cli import rules

__all__ = ["rules"]

rules.add_command(test)
rules.add_command(why_not)
