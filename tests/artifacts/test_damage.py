"""Every kind of damage is noticed, and each has its own error."""

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ellzero.artifacts import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactUnsafeError,
    ArtifactVersionError,
    load,
)
from ellzero.artifacts.manifest import write_manifest
from ellzero.errors import ArtifactError

FILES = ["manifest.json", "structure.json", "weights.safetensors"]
Build = Callable[[], nn.Module]


def forge_manifest(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the manifest, and its own checksum with it."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    blank = json.dumps({**manifest, "sha256": ""}, indent=1, sort_keys=True) + "\n"
    manifest["sha256"] = hashlib.sha256(blank.encode()).hexdigest()
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def forge_structure(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the structure, and the checksums with it."""
    path = folder / "structure.json"
    structure = json.loads(path.read_text())
    change(structure)
    path.write_text(json.dumps(structure, indent=1) + "\n")
    write_manifest(folder)


def test_a_forged_artifact_without_a_change_is_accepted(folder: Path, build: Build, small: nn.Module):
    forge_structure(folder, lambda structure: None)
    forge_manifest(folder, lambda manifest: None)
    assert torch.equal(load(folder, build)(torch.ones(1, 4)), small(torch.ones(1, 4)))


def test_the_manifest_says_what_the_files_are(folder: Path):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == "ellzero"
    assert manifest["version"] == 1
    assert manifest["torch"] == torch.__version__
    for name in FILES[1:]:
        content = (folder / name).read_bytes()
        assert manifest["files"][name] == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def test_a_missing_folder_is_missing(tmp_path: Path, build: Build):
    with pytest.raises(ArtifactMissingError, match="does not exist, expected the folder"):
        load(tmp_path / "nowhere", build)


def test_a_file_is_no_folder(folder: Path, build: Build):
    with pytest.raises(ArtifactMissingError, match="is a file, expected the folder"):
        load(folder / "manifest.json", build)


def test_an_empty_folder_is_missing_its_files(tmp_path: Path, build: Build):
    with pytest.raises(ArtifactMissingError, match=r"manifest\.json"):
        load(tmp_path, build)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, build: Build, name: str):
    (folder / name).unlink()
    with pytest.raises(ArtifactMissingError, match=f"{name}' cannot be read .* copy the whole folder again"):
        load(folder, build)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_called_cut_short(folder: Path, build: Build, name: str):
    content = (folder / name).read_bytes()
    for length in sorted({0, 1, len(content) // 2, len(content) - 2, len(content) - 1}):
        (folder / name).write_bytes(content[:length])
        with pytest.raises(ArtifactDamagedError, match=f"'{name}'.* cut short"):
            load(folder, build)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_file_that_has_grown_is_damaged(folder: Path, build: Build, name: str):
    with (folder / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ArtifactDamagedError, match="holds more than the"):
        load(folder, build)


def test_any_flipped_bit_is_noticed(folder: Path, build: Build):
    generator = random.Random(0)
    contents = {name: (folder / name).read_bytes() for name in FILES}
    places = [(name, offset) for name in FILES for offset in range(len(contents[name]))]
    for name, offset in generator.sample(places, 200) + [("manifest.json", n) for n in range(len(contents[FILES[0]]))]:
        flipped = bytearray(contents[name])
        flipped[offset] ^= 1 << generator.randrange(8)
        (folder / name).write_bytes(flipped)
        with pytest.raises(ArtifactError):
            load(folder, build)
        (folder / name).write_bytes(contents[name])
    load(folder, build)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_flipped_bit_is_not_called_cut_short(folder: Path, build: Build, name: str):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactDamagedError, match="right length but not the SHA-256"):
        load(folder, build)


def test_a_bit_of_the_manifest_that_changes_no_meaning_is_noticed(folder: Path, build: Build):
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'{\n "', b'{\n\t"', 1))
    with pytest.raises(ArtifactDamagedError, match="does not have its own SHA-256"):
        load(folder, build)


def test_an_unknown_version_names_the_one_that_wrote_it(folder: Path, build: Build):
    forge_manifest(folder, lambda manifest: manifest.update(version=2, ellzero="9.1"))
    with pytest.raises(ArtifactVersionError, match=r"format 2, .* reads format 1; install .*\(9.1\)"):
        load(folder, build)


@pytest.mark.parametrize("change", [{"format": "other"}, {"version": "1"}, {"version": True}, {"version": 1.0}])
def test_a_manifest_of_something_else_is_refused(folder: Path, build: Build, change: dict[str, object]):
    forge_manifest(folder, lambda manifest: manifest.update(change))
    with pytest.raises(ArtifactDamagedError, match="does not say that this is an ellzero artifact"):
        load(folder, build)


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "sub/weights.safetensors", "..\\weights.safetensors", "C:\\x", "other.bin", ""],
)
@pytest.mark.parametrize("is_forged", [True, False])
def test_a_path_that_leads_elsewhere_is_unsafe(folder: Path, build: Build, name: str, is_forged: bool):
    if is_forged:
        forge_manifest(folder, lambda m: m["files"].update({name: m["files"].pop("weights.safetensors")}))
    else:
        path = folder / "manifest.json"
        path.write_text(path.read_text().replace('"weights.safetensors"', json.dumps(name)))
    with pytest.raises(ArtifactUnsafeError, match=r"names the file .* do not trust"):
        load(folder, build)


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_the_place_of_a_file_is_unsafe(folder: Path, build: Build, name: str):
    (folder / name).rename(folder.parent / "elsewhere")
    (folder / name).symlink_to(folder.parent / "elsewhere")
    with pytest.raises(ArtifactUnsafeError, match="is a link or no plain file"):
        load(folder, build)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", None)])
def test_a_folder_or_a_pipe_in_the_place_of_a_file_is_refused(folder: Path, build: Build, make):
    (folder / "manifest.json").unlink()
    make(folder / "manifest.json")
    with pytest.raises(ArtifactError):
        load(folder, build)


def test_a_link_to_the_folder_is_followed(folder: Path, build: Build):
    (folder.parent / "latest").symlink_to(folder)
    load(folder.parent / "latest", build)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: m.pop("torch"), "manifest.json.torch is missing"),
        (lambda m: m.update(more=1), "manifest.json.more is not known here"),
        (lambda m: m.update(files=[]), r"files is \[\], expected an object"),
        (lambda m: m["files"].pop("structure.json"), "structure.json is missing"),
        (lambda m: m["files"]["structure.json"].update(bytes="9"), "bytes is '9', expected int"),
        (lambda m: m["files"]["structure.json"].update(bytes=-1), "holds more than"),
        (lambda m: m["files"]["weights.safetensors"].update(bytes=2**52), "cut short"),
        (lambda m: m["files"]["structure.json"].update(sha256="0" * 64), "not the SHA-256"),
        (lambda m: m.update(torch="x" * 2**16), "holds more than the 65536 bytes"),
    ],
)
def test_a_forged_manifest_is_damaged(folder: Path, build: Build, change: Callable[[Any], object], match: str):
    forge_manifest(folder, change)
    with pytest.raises(ArtifactDamagedError, match=match):
        load(folder, build)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"format": "ellzero", "format": "ellzero"}\n', "'format' stands there twice"),
        (b"[" * 60_000 + b"}\n", "no sound JSON"),
        (b'{"version": NaN}\n', "NaN is not a number"),
        (b'{"version": -Infinity}\n', "-Infinity is not a number"),
        (b'{"version": ' + b"9" * 5000 + b"}\n", "no sound JSON"),
        (b'{"\xff": 1}\n', "no sound JSON"),
        (b"[{}\n", "no sound JSON"),
        (b"[{\n}]}\n", "no sound JSON"),
    ],
)
def test_json_that_is_ambiguous_or_broken_is_damaged(folder: Path, build: Build, content: bytes, match: str):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactDamagedError, match=match):
        load(folder, build)


def member(structure: Any) -> Any:
    return structure["channels"]["groups"][0]["members"][0]


def group(structure: Any) -> Any:
    return structure["channels"]["groups"][0]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("plan"), "structure.json.plan is missing"),
        (lambda s: s.update(code="import os"), "structure.json.code is not known here"),
        (lambda s: s.update(num_shut=True), "num_shut is True, expected int"),
        (lambda s: s.update(num_shut=2**60), "num_shut is .*, expected int"),
        (lambda s: s.update(difference="0"), "difference is '0', expected float"),
        (lambda s: s.update(frozen={}), "frozen is {}, expected a list"),
        (lambda s: s.update(ties={"a": 1}), "ties.a is 1, expected str"),
        (lambda s: s.update(plan={"0": [1.0]}), r"plan.0\[0\] is 1.0, expected int"),
        (lambda s: s.update(plan={"elsewhere": [1]}), "no group is called 'elsewhere'"),
        (lambda s: s.update(plan={"0": [99]}), "no sound plan.*channel 99"),
        (lambda s: s.update(plan={"0": list(range(6))}), "no sound plan.*only path"),
        (lambda s: s.update(plan={"2": [0]}), "no sound plan.*is kept"),
        (lambda s: s["channels"].update(groups=[]), "no sound plan.*nothing to gate"),
        (lambda s: group(s).update(size=0), "no sound plan.*size 0"),
        (lambda s: group(s).update(size=2**50, members=[]), "channels that no tensor has"),
        (lambda s: group(s).update(kind="other"), "kind is 'other', expected one of"),
        (lambda s: group(s).update(reason=None), "reason is None, expected str"),
        (lambda s: group(s).update(parent="0", parent_index=[7] * 6), "channels that no tensor has"),
        (lambda s: group(s).update(parent="0", parent_index=[1]), "channels that no tensor has"),
        (lambda s: group(s).update(parent="nobody", parent_index=[1]), "unknown parent"),
        (lambda s: member(s).update(role="thief"), "role is 'thief', expected one of"),
        (lambda s: member(s).update(dim=5), "channels that no tensor has"),
        (lambda s: member(s).update(dim=-1), "channels that no tensor has"),
        (lambda s: member(s).update(index=[0, 1, 2, 3, 4, 6]), "channels that no tensor has"),
        (lambda s: member(s).update(index=[-1, 1, 2, 3, 4, 5]), "channels that no tensor has"),
        (lambda s: member(s).update(index={"start": 0, "stop": 6 * 2**50, "step": 1}), "that no tensor has|expected"),
        (lambda s: member(s).update(index={"start": 0, "stop": 6 * 2**40, "step": 1}), "channels that no tensor has"),
        (lambda s: member(s).update(index={"start": 0, "stop": 6, "step": 0}), "no sound plan"),
        (lambda s: s["tensors"].update({"0.bias": {"dtype": "int8", "shape": [4]}}), "do not belong together"),
        (lambda s: s["tensors"].pop("0.bias"), "do not belong together"),
    ],
)
def test_a_forged_structure_is_damaged(folder: Path, build: Build, change: Callable[[Any], object], match: str):
    forge_structure(folder, change)
    with pytest.raises(ArtifactDamagedError, match=match):
        load(folder, build)


def test_unknown_dtypes_and_names_in_the_structure_are_never_looked_up(folder: Path, build: Build):
    forge_structure(folder, lambda s: s.update(rebuilt={"__class__": "os.system"}, frozen=["__dict__"]))
    load(folder, build)


def test_weights_that_are_no_safetensors_are_damaged(folder: Path, build: Build):
    for content in (b"", b"\x80\x04\x95", b"\xff" * 64):
        (folder / "weights.safetensors").write_bytes(content)
        write_manifest(folder)
        with pytest.raises(ArtifactDamagedError, match="is no safetensors file"):
            load(folder, build)


def test_weights_of_another_network_are_damaged(folder: Path, build: Build):
    tensors = load_file(folder / "weights.safetensors")
    save_file({**tensors, "2.bias": torch.zeros(7)}, folder / "weights.safetensors")
    write_manifest(folder)
    with pytest.raises(ArtifactDamagedError, match=r"'2.bias' as .*shape=\(7,\).*, expected .*shape=\(3,\)"):
        load(folder, build)


def test_files_of_two_artifacts_do_not_mix(folder: Path, build: Build, small: nn.Module, tmp_path: Path):
    other = {name: tensor + 1 for name, tensor in load_file(folder / "weights.safetensors").items()}
    save_file(other, folder / "weights.safetensors")
    with pytest.raises(ArtifactDamagedError, match="not the SHA-256"):
        load(folder, build)
