"""Small files that are replaced as a whole."""

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Replace a file so that it is the old or the new one after a crash at any moment.

    Raises:
        OSError: it could not be kept; the old one is still there.
    """
    aside = path.with_name(path.name + ".new")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
