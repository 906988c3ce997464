"""Dead letters of what a job finds on the project's own topics and cannot store, as SQL."""

TIMES = "TIMESTAMP(3)"
_LETTER = f"""
SELECT 'JOB', CASE WHEN {{sound}} THEN 'UNSTORABLE' ELSE 'UNDECODABLE' END,
  COALESCE(undecodable_reason, '{{unstorable}}'),
  COALESCE(undecodable, X''), CAST(CURRENT_TIMESTAMP AS {TIMES}),
  CAST(NULL AS STRING), CAST(NULL AS STRING), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT),
  CAST(NULL AS STRING), '{{topic}}', kafka_partition, kafka_offset, CAST(NULL AS BYTES)
FROM {{source}} WHERE NOT ({{sound}} AND {{storable}})
"""


def letter(source: str, topic: str, sound: str, storable: str, unstorable: str) -> str:
    """Return the query for a topic's dead letters.

    Args:
        source: the table over the topic.
        topic: its full name.
        sound: the condition under which a record has been decoded.
        storable: the condition under which a decoded record can be stored.
        unstorable: what is told of one that cannot.
    """
    return _LETTER.format(
        source=source, topic=topic, sound=sound, storable=storable, unstorable=unstorable
    )


def undecodable_letter(source: str, topic: str, sound: str) -> str:
    """Return the query for the letters of what has not been decoded."""
    return letter(source, topic, sound, "TRUE", "without a value")
