"""One of our jobs as a program that Flink runs: `flink run -py`, or the operator's PythonDriver."""

import argparse
from collections.abc import Sequence

from schemas.topics import DEFAULT_PREFIX
from stream.jobs.settings import CHECKPOINT_MS, TRANSACTION_TIMEOUT_MS, Cluster, Tuning
from stream.rules import rules_text


def arguments() -> argparse.ArgumentParser:
    """Return what the program takes; times are milliseconds."""
    parser = argparse.ArgumentParser(prog="tidegate-job", description=__doc__)
    parser.add_argument("job", choices=("lake", "alerts", "archive"))
    parser.add_argument("--kafka", required=True, metavar="HOST:PORT,…")
    parser.add_argument("--registry", required=True, metavar="URL")
    parser.add_argument("--lake", required=True, metavar="s3://BUCKET/…")
    parser.add_argument("--rules", default="generic", help="a rule file or a pack's name")
    parser.add_argument("--prefix", default=DEFAULT_PREFIX)
    parser.add_argument("--name", help="the job's; after its topics unless said")
    parser.add_argument("--parallelism", type=int)
    parser.add_argument("--checkpoint-interval-ms", type=int, help="by the job unless said")
    parser.add_argument("--lateness-ms", type=int, default=5_000)
    parser.add_argument(
        "--transaction-timeout-ms",
        type=int,
        default=TRANSACTION_TIMEOUT_MS,
        help="how long the brokers keep alerts that are not committed yet",
    )
    parser.add_argument("--panes", help="sizes that panes may not exceed")
    parser.add_argument("--rules-after", type=int, default=0, help="pushed versions left out")
    parser.add_argument("--backend", choices=("hashmap", "rocksdb"), help="where state lives")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Plan the job and hand it to the cluster.

    Raises:
        BadConfig: the rules are wrong.
        RegistryDown: the registry does not answer.
    """
    asked = arguments().parse_args(argv)
    rules = rules_text(asked.rules)
    from stream.jobs.environment import within  # noqa: PLC0415 - starts PyFlink
    from stream.jobs.submit import (  # noqa: PLC0415 - starts PyFlink
        prepare_alerts,
        prepare_archive,
        prepare_lake,
    )

    cluster = Cluster(
        flink_url="",
        kafka_bootstrap=asked.kafka,
        registry_url=asked.registry,
        lake_uri=asked.lake.rstrip("/"),
        topic_prefix=asked.prefix,
    )
    tuning = Tuning(
        parallelism=asked.parallelism,
        checkpoint_interval_ms=asked.checkpoint_interval_ms or CHECKPOINT_MS[asked.job],
        lateness_ms=asked.lateness_ms,
        state_backend=asked.backend,
        transaction_timeout_ms=asked.transaction_timeout_ms,
    )
    name = asked.name or asked.job
    if asked.job == "lake":
        prepare_lake(name, cluster, tuning, opened=within).run()
    elif asked.job == "archive":
        prepare_archive(name, cluster, tuning, opened=within).run()
    else:
        after = asked.rules_after
        prepare_alerts(name, cluster, tuning, rules, asked.panes, after, opened=within).run()


if __name__ == "__main__":
    main()
