"""The manifest: which files make up an artifact, and what each must be, bit by bit."""

__all__ = ["FILES", "MANIFEST", "STRUCTURE", "VERSION", "WEIGHTS", "read_files", "write_manifest"]

import errno
import hashlib
import json
import os
import stat
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ellzero.artifacts.errors import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactUnsafeError,
    ArtifactVersionError,
)
from ellzero.artifacts.strict import conform, parse

MANIFEST, STRUCTURE, WEIGHTS = "manifest.json", "structure.json", "weights.safetensors"
FILES = frozenset({MANIFEST, STRUCTURE, WEIGHTS})
VERSION = 1
_FORMAT = "ellzero"
_LIMITS = {MANIFEST: 2**16, STRUCTURE: 2**28, WEIGHTS: 2**53}
"""Most bytes that are read of each file; the manifest says how many weights there are."""

_SCHEMA = {
    "format": str,
    "version": int,
    "ellzero": str,
    "torch": str,
    "files": {name: {"sha256": str, "bytes": int} for name in (STRUCTURE, WEIGHTS)},
    "sha256": str,
}


def write_manifest(folder: Path) -> None:
    """Write down what the other two files are, and, so that it cannot change either, what the manifest is.

    Args:
        folder: holds the other two files.
    """
    files = {}
    for name in (STRUCTURE, WEIGHTS):
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            files[name] = {"sha256": digest, "bytes": file.tell()}
    manifest = {"format": _FORMAT, "version": VERSION, "ellzero": _version(), "torch": torch.__version__}
    manifest = {**manifest, "files": files, "sha256": ""}
    manifest["sha256"] = hashlib.sha256(_canonical(manifest)).hexdigest()
    (folder / MANIFEST).write_bytes(_canonical(manifest))


def read_files(folder: Path) -> dict[str, bytes]:
    """The contents of an artifact, each file read once and found to be what was saved.

    Args:
        folder: of the artifact.

    Returns:
        The bytes of `structure.json` and `weights.safetensors`.

    Raises:
        ArtifactMissingError: if a file is not there or cannot be read.
        ArtifactDamagedError: if a file is cut short or any bit of it has changed.
        ArtifactVersionError: if the format is not known.
        ArtifactUnsafeError: if a file outside of the folder is named, or one is a link.
    """
    files = _read_manifest(folder)["files"]
    found = {}
    for name in (STRUCTURE, WEIGHTS):
        content = _read(folder, name, min(_LIMITS[name], files[name]["bytes"]))
        if len(content) < files[name]["bytes"]:
            raise ArtifactDamagedError(
                f"{name!r} in {str(folder)!r} holds {len(content)} of {files[name]['bytes']} bytes, it is cut short; "
                "copy the whole folder again"
            )
        if hashlib.sha256(content).hexdigest() != files[name]["sha256"]:
            raise ArtifactDamagedError(
                f"{name!r} in {str(folder)!r} has the right length but not the SHA-256 of the manifest, at least one "
                "bit of it has changed; copy the whole folder again"
            )
        found[name] = content
    return found


def _read_manifest(folder: Path) -> Any:
    content = _read(folder, MANIFEST, _LIMITS[MANIFEST])
    manifest = parse(content, MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT or type(manifest.get("version")) is not int:
        raise ArtifactDamagedError(
            f"{MANIFEST!r} in {str(folder)!r} does not say that this is an ellzero artifact; give the folder that "
            "save(...) wrote, or copy it again"
        )
    if manifest["version"] != VERSION:
        raise ArtifactVersionError(
            f"{str(folder)!r} is in format {manifest['version']}, this version of ellzero reads format {VERSION}; "
            f"install the version that wrote it ({str(manifest.get('ellzero'))[:40]})"
        )
    _check_names(manifest)
    conform(manifest, _SCHEMA, MANIFEST)
    if content != _canonical(manifest) or manifest["sha256"] != _own_digest(manifest):
        raise ArtifactDamagedError(
            f"{MANIFEST!r} in {str(folder)!r} does not have its own SHA-256, at least one bit of it has changed; "
            "copy the whole folder again"
        )
    return manifest


def _check_names(manifest: dict[str, Any]) -> None:
    """Names are only ever compared, never opened; one that leads elsewhere still deserves to be called what it is."""
    files = manifest.get("files")
    for name in files if isinstance(files, dict) else ():
        if name not in FILES:
            raise ArtifactUnsafeError(
                f"{MANIFEST!r} names the file {name[:80]!r}, expected only {STRUCTURE!r} and {WEIGHTS!r}; it was "
                "damaged or made by somebody else, do not trust the folder"
            )


def _read(folder: Path, name: str, limit: int) -> bytes:
    path = folder / name
    try:
        if path.is_symlink():
            raise OSError(errno.ELOOP, "is a link")
        # Without O_NONBLOCK a pipe put in the file's place would keep us waiting for ever.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.ELOOP, "is no plain file")
            content = file.read(min(limit, status.st_size) + 1)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise ArtifactUnsafeError(
                f"{str(path)!r} is a link or no plain file, expected a plain file inside the folder; copy what it "
                "points to into the folder if you trust it"
            ) from error
        raise ArtifactMissingError(
            f"{str(path)!r} cannot be read ({error.strerror or error}); an artifact holds {', '.join(sorted(FILES))}, "
            "copy the whole folder again"
        ) from error
    if len(content) > limit:
        raise ArtifactDamagedError(f"{str(path)!r} holds more than the {limit} bytes expected; copy the folder again")
    return content


def _own_digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical({**manifest, "sha256": ""})).hexdigest()


def _canonical(manifest: dict[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()


def _version() -> str:
    try:
        return metadata.version("ellzero")
    except metadata.PackageNotFoundError:
        return "unknown"
