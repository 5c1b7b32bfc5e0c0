"""Write a folder or a file as a whole or not at all, and find a folder again after a crash in between."""

__all__ = ["locate", "written_file", "written_whole"]

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from ellzero.artifacts.errors import ArtifactExistsError, ArtifactMissingError, ArtifactUnsavedError


@contextmanager
def written_whole(folder: Path, names: frozenset[str], *, overwrite: bool) -> Iterator[Path]:
    """Within it a temporary folder can be filled; afterwards it stands in the place of the old one.

    At every moment, `locate(folder)` leads to the complete old folder or to the complete new one::

        fill .name.XXXX.part        old is at  name
        name -> .name.replaced      old is at .name.replaced, where `locate` finds it
        .name.XXXX.part -> name     new is at  name
        remove .name.replaced

    A process that is killed may leave `.name.XXXX.part` behind, which can be deleted. Two processes that save to the
    same folder at once do no harm, but one of them may be refused.

    Args:
        folder: where to write; a link to a folder is followed.
        names: of the files that may be replaced.
        overwrite: whether a folder with such files may be replaced.

    Raises:
        ArtifactExistsError: if something is there that may not be replaced.
        ArtifactUnsavedError: if the disk does not take it; the old folder stays and the temporary one is removed.
    """
    try:
        folder = folder.resolve()
        temporary = _temporary(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _recover(folder)
        _check_free(folder, names, overwrite)
        temporary.mkdir()
        try:
            yield temporary
            for path in [*temporary.iterdir(), temporary]:
                _sync(path)
            _swap(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise ArtifactUnsavedError(
            f"the artifact {str(folder)!r} could not be written ({error}), what was there before is untouched; make "
            "room or choose another folder"
        ) from error


@contextmanager
def written_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Within it a temporary file can be written; afterwards it stands in the place of the old one.

    Args:
        path: where to write; a link to a file is followed.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ArtifactExistsError: if something is there that may not be replaced.
        ArtifactUnsavedError: if the disk does not take it; the old file stays and the temporary one is removed.
    """
    try:
        path = path.resolve()
        if path.exists() and (path.is_dir() or not overwrite):
            advice = "choose another name" if path.is_dir() else "choose another name or replace it with overwrite=True"
            raise ArtifactExistsError(f"{str(path)!r} is there already, expected nothing; {advice}")
        temporary = _temporary(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactUnsavedError(
            f"{str(path)!r} could not be written ({error}), what was there before is untouched; make room or choose "
            "another place"
        ) from error


def locate(folder: Path) -> Path:
    """The folder, or the one set aside when a crash came between taking the old away and putting the new there.

    Raises:
        ArtifactMissingError: if there is neither.
    """
    folder = folder.resolve()
    for path in (folder, _aside(folder), folder):
        if _is_filled(path):
            return path
    if folder.is_dir():
        return folder
    found = "is a file" if folder.exists() else "does not exist"
    raise ArtifactMissingError(f"{str(folder)!r} {found}, expected the folder that save(...) wrote; check the path")


def _check_free(folder: Path, names: frozenset[str], overwrite: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ArtifactExistsError(f"{str(folder)!r} is a file, expected a folder or nothing; choose another folder")
    found = {path.name for path in folder.iterdir()}
    foreign = sorted(found - names)
    if foreign:
        raise ArtifactExistsError(
            f"{str(folder)!r} holds {', '.join(map(repr, foreign[:8]))}{', ...' if len(foreign) > 8 else ''}, which "
            "would be deleted; give the artifact a folder of its own"
        )
    if found and not overwrite:
        raise ArtifactExistsError(
            f"{str(folder)!r} holds an artifact already; choose another folder or replace it with overwrite=True"
        )


def _swap(temporary: Path, folder: Path) -> None:
    aside = _aside(folder)
    if _is_filled(folder):
        _discard(aside)
        os.rename(folder, aside)
    elif folder.exists():
        folder.rmdir()
    try:
        os.rename(temporary, folder)
    except BaseException:
        if aside.exists():
            os.rename(aside, folder)
        raise
    _sync(folder.parent)
    _discard(aside)


def _recover(folder: Path) -> None:
    """Put the old folder back after a save that was killed between the two renames."""
    aside = _aside(folder)
    if aside.exists() and not _is_filled(folder):
        if folder.exists():
            folder.rmdir()
        os.rename(aside, folder)


def _discard(aside: Path) -> None:
    """Remove it under another name, so that half of it is never taken for the whole."""
    if aside.exists():
        rest = _temporary(aside)
        os.rename(aside, rest)
        shutil.rmtree(rest, ignore_errors=True)


def _is_filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _temporary(folder: Path) -> Path:
    return folder.with_name(f".{folder.name.strip('.')}.{secrets.token_hex(4)}.part")


def _sync(path: Path) -> None:
    """Wait until the disk has it; folders cannot be opened on Windows, which needs no such thing."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
