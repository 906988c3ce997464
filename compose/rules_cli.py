"""`tidegate rules`: the commands that need nothing but the file, and those that need more."""

from compose.rules_push import push, show
from compose.rules_test import test
from compose.rules_why_not import why_not
from stream.rules_cli import rules

__all__ = ["rules"]

rules.add_command(test)
rules.add_command(why_not)
rules.add_command(push)
rules.add_command(show)
