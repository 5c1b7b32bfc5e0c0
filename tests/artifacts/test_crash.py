"""Whatever happens while saving, the old artifact or the new one is there, whole."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import ellzero.artifacts.replace as replacing
from ellzero.artifacts import ArtifactExistsError, ArtifactMissingError, ArtifactUnsavedError, load, save

Build = Callable[[], nn.Module]

# A child saves over an old artifact and is killed before its n-th call to the operating system; its parent looks at
# what the disk holds. Forks share the imports, which take most of the time.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from torch import nn
from ellzero.artifacts import load, save
from ellzero.errors import ArtifactError
from ellzero.gates import Gated
from ellzero.graph import Plan
from ellzero.surgery import prune

build = lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
parent, has_old = Path(sys.argv[1]), sys.argv[2] == "overwrite"
old, new = (prune(Gated(build(), torch.zeros(1, 4)), plan=Plan({"0": (n,)})) for n in (1, 2))

def child(folder, number):
    left = number
    def counted(function):
        def call(*arguments, **options):
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call
    for name in ("open", "mkdir", "rename", "fsync", "close", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))
    try:
        save(new, folder, overwrite=True)
    finally:
        os._exit(0)

found = []
for number in range(200):
    folder = parent / f"{number}"
    if has_old:
        save(old, folder)
    process = os.fork()
    if not process:
        child(folder, number)
    _, status = os.waitpid(process, 0)
    try:
        weight = load(folder, build)[2].weight
        found += [name for name, one in (("old", old), ("new", new)) if torch.equal(weight, one[2].weight)] or ["?"]
    except ArtifactError as error:
        found.append(type(error).__name__)
    save(new, folder, overwrite=True)
    assert torch.equal(load(folder, build)[2].weight, new[2].weight)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "structure.json", "weights.safetensors"]
    assert not (parent / f".{number}.replaced").exists()
    if not os.WIFSIGNALED(status):
        break
print(*found)
"""


def killed_at_every_call(tmp_path: Path, mode: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), mode],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_process_killed_at_any_call_leaves_the_old_artifact_or_the_new_one(tmp_path: Path):
    found = killed_at_every_call(tmp_path, "overwrite")
    assert len(found) > 15
    assert found == sorted(found, reverse=True), "first the old one, then the new one"
    assert set(found) == {"old", "new"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_process_killed_at_its_first_save_leaves_nothing_or_all(tmp_path: Path):
    found = killed_at_every_call(tmp_path, "first")
    assert len(found) > 8
    assert found == sorted(found), "first nothing, then the new one"
    assert set(found) == {"ArtifactMissingError", "new"}


def fails_at(monkeypatch: pytest.MonkeyPatch, name: str, number: int, error: BaseException) -> None:
    """Let the given call of a function of `os` fail, and those of the same name after it succeed."""
    real = getattr(os, name)
    left = [number]

    def call(*arguments: object, **options: object) -> object:
        left[0] -= 1
        if left[0] == -1:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, call)


@pytest.mark.parametrize("call", [("mkdir", 1), ("fsync", 0), ("fsync", 3), ("rename", 0), ("rename", 1)], ids=str)
def test_an_error_of_the_disk_leaves_the_old_artifact_and_no_rest(
    folder: Path, build: Build, small: nn.Module, monkeypatch: pytest.MonkeyPatch, call: tuple[str, int]
):
    expected = load(folder, build)(torch.ones(1, 4))
    nn.init.zeros_(small.get_parameter("2.weight"))
    fails_at(monkeypatch, *call, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(ArtifactUnsavedError, match=r"No space left on device.*untouched"):
        save(small, folder, overwrite=True)
    assert torch.equal(load(folder, build)(torch.ones(1, 4)), expected)
    assert [path.name for path in folder.parent.iterdir()] == ["artifact"]


@pytest.mark.parametrize("call", [("fsync", 1), ("rename", 1)], ids=str)
def test_an_interrupt_leaves_the_old_artifact_and_no_rest(
    folder: Path, build: Build, small: nn.Module, monkeypatch: pytest.MonkeyPatch, call: tuple[str, int]
):
    fails_at(monkeypatch, *call, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        save(small, folder, overwrite=True)
    load(folder, build)
    assert [path.name for path in folder.parent.iterdir()] == ["artifact"]


def test_a_full_disk_is_noticed_while_the_weights_are_written(folder: Path, build: Build, small: nn.Module):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(ArtifactUnsavedError, match="could not be written"):
            save(small, folder, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    load(folder, build)
    assert [path.name for path in folder.parent.iterdir()] == ["artifact"]


def test_a_folder_set_aside_is_loaded_and_put_back_at_the_next_save(folder: Path, build: Build, small: nn.Module):
    aside = replacing._aside(folder)
    folder.rename(aside)
    load(folder, build)
    assert aside.exists(), "reading changes nothing"
    with pytest.raises(ArtifactExistsError):
        save(small, folder)
    assert folder.exists()
    assert not aside.exists()


def test_an_empty_folder_in_front_of_one_set_aside_does_not_hide_it(folder: Path, build: Build, small: nn.Module):
    folder.rename(replacing._aside(folder))
    folder.mkdir()
    load(folder, build)
    save(small, folder, overwrite=True)
    assert [path.name for path in folder.parent.iterdir()] == ["artifact"]


def test_an_artifact_is_replaced_only_on_demand(folder: Path, build: Build, small: nn.Module):
    with pytest.raises(ArtifactExistsError, match=r"holds an artifact already; .*overwrite=True"):
        save(small, folder)
    nn.init.zeros_(small.get_parameter("2.weight"))
    save(small, folder, overwrite=True)
    assert not load(folder, build).get_parameter("2.weight").any()


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_with_anything_else_is_never_replaced(folder: Path, small: nn.Module, overwrite: bool):
    (folder / "notes.txt").write_text("mine")
    (folder / "runs").mkdir()
    with pytest.raises(ArtifactExistsError, match=r"holds 'notes.txt', 'runs', which would be deleted"):
        save(small, folder, overwrite=overwrite)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_file_is_never_replaced(tmp_path: Path, small: nn.Module):
    (tmp_path / "artifact").write_text("mine")
    with pytest.raises(ArtifactExistsError, match="is a file, expected a folder or nothing"):
        save(small, tmp_path / "artifact", overwrite=True)


def test_missing_parents_are_made_and_an_empty_folder_is_taken(tmp_path: Path, build: Build, small: nn.Module):
    save(small, tmp_path / "a" / "b")
    (tmp_path / "empty").mkdir()
    save(small, str(tmp_path / "empty"))
    load(str(tmp_path / "empty"), build)
    load(tmp_path / "a" / "b", build)


def test_a_link_to_a_folder_stays_a_link(folder: Path, build: Build, small: nn.Module):
    link = folder.parent / "latest"
    link.symlink_to(folder)
    save(small, link, overwrite=True)
    assert link.is_symlink()
    load(folder, build)


def test_others_may_read_what_is_saved_as_far_as_the_umask_says(tmp_path: Path, small: nn.Module):
    before = os.umask(0o022)
    try:
        save(small, tmp_path / "artifact")
    finally:
        os.umask(before)
    assert (tmp_path / "artifact").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "artifact").iterdir()} == {0o644}


def test_nothing_is_found_where_nothing_was_saved(tmp_path: Path, build: Build):
    with pytest.raises(ArtifactMissingError):
        load(tmp_path / "artifact", build)
