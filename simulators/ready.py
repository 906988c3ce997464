"""Wait until the gateway says that it is ready."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable

from schemas.failure import BadConfig, Unavailable

_POLL_S = 0.2


def wait_ready(
    url: str,
    *,
    within_s: float = 60.0,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once a GET of ``url`` answers with success.

    Args:
        url: the gateway's, ``http://127.0.0.1:9464/readyz``.
        within_s: for how long to ask.
        now: monotonic seconds.
        sleep: waits so many seconds.

    Raises:
        Unavailable: it did not; the message has its last answer.
        BadConfig: the URL is none.
    """
    if not url.startswith(("http://", "https://")):
        raise BadConfig(f"--ready {url!r}: write a URL such as http://127.0.0.1:9464/readyz")
    give_up = now() + within_s
    while (answer := _answer(url)) != "":
        if now() >= give_up:
            raise Unavailable(
                f"the gateway at {url} is not ready after {within_s:g} s: {answer}; "
                "is it running? `tidegate local status` or its log tells more"
            )
        sleep(_POLL_S)


def _answer(url: str) -> str:
    """Return why it is not ready, empty if it is."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(200).decode("utf-8", "replace").strip()
        return f"it answers {error.code} {said}".rstrip()
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return ""
