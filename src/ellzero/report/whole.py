"""Write a file whole or not at all."""

__all__ = ["write_whole"]

import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file next to its place and rename it: at every moment there is the old file or the new one.

    Args:
        path: where to; its folder exists.
        data: the whole content.

    Raises:
        OSError: if the disk does not take it; the old file stays and nothing else is left.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
