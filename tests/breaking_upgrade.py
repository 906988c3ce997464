"""`tidegate` with an alerts job whose next version plans, and then does not run.

Rules that say "breaks here" stand for a version with a mistake that only running it shows: here,
an interpreter for the workers that is not there.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from compose.cli import main
from compose.local.flink import flink_env
from stream.jobs.settings import Cluster

if __name__ == "__main__":
    # The next import starts PyFlink's JVM, which takes its folders from here.
    os.environ.update(flink_env(Path(os.environ["TIDEGATE__LOCAL__STATE"])))
    from stream.jobs import submit

    whole = submit.prepare_alerts

    def prepare_alerts(name: str, cluster: Cluster, tuning: Any, rules: str, *more: Any) -> Any:
        python = "/nowhere/python" if "breaks here" in rules else cluster.python
        return whole(name, replace(cluster, python=python), tuning, rules, *more)

    submit.prepare_alerts = prepare_alerts
    main()
