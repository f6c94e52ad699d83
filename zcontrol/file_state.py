"""Whether a file is another one than it was."""

from pathlib import Path


def file_state(path: Path) -> tuple[int, int, int] | None:
    """What a changed file does not share with the one before, also when it was moved into place; none: it is away."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
