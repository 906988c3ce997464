"""Runs several command lines in one process, as `tidegate` would each: Flink's JVM starts once.

Takes a JSON list of lists of words on stdin; the last line of stdout is a JSON list of what came.
"""

import contextlib
import io
import json
import subprocess
import sys
from typing import NamedTuple

from compose.cli import main


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def rows(self) -> list[dict[str, object]]:
        assert self.code == 0, self.err
        return [json.loads(line) for line in self.out.splitlines()]


def run_all(commands: list[list[str]], env: dict[str, str]) -> list[Ran]:
    """Run the commands in a process of their own, with this environment."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(commands),
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Ran(*each) for each in json.loads(done.stdout.splitlines()[-1])]


def run(words: list[str]) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["tidegate", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return Ran(int(code or 0), out.getvalue(), err.getvalue())


if __name__ == "__main__":
    print(json.dumps([run(words) for words in json.load(sys.stdin)]))
