"""The parser on files made by hand, the search order, the download against a server on this machine, the real MNIST."""

import gzip
import hashlib
import re
import struct
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from ellzero.errors import DataError, MissingExtraError
from ellzero.recipes import data
from ellzero.recipes.data import load_digits, load_mnist
from ellzero.recipes.idx import parse_idx, read_content

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
real_mnist = pytest.mark.skipif(not MNIST.is_dir(), reason="the real MNIST files are not in ../shared/data/mnist")


def idx_bytes(entries: torch.Tensor) -> bytes:
    header = struct.pack(f">BBBB{entries.ndim}I", 0, 0, 8, entries.ndim, *entries.shape)
    return header + entries.to(torch.uint8).numpy().tobytes()


TINY = {
    "train-images-idx3-ubyte": idx_bytes(torch.arange(2 * 2 * 3).view(2, 2, 3)),
    "train-labels-idx1-ubyte": idx_bytes(torch.tensor([4, 9])),
    "t10k-images-idx3-ubyte": idx_bytes(torch.full((1, 2, 3), 255)),
    "t10k-labels-idx1-ubyte": idx_bytes(torch.tensor([0])),
}


def write(folder: Path, files: dict[str, bytes], *, compress: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / (f"{name}.gz" if compress else name)).write_bytes(gzip.compress(content) if compress else content)
    return folder


@pytest.fixture
def tiny_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The loader believes that four tiny files are the published ones; no variable, cache or network is at hand."""
    monkeypatch.setattr(data, "MNIST_SHA256", {name: hashlib.sha256(file).hexdigest() for name, file in TINY.items()})
    monkeypatch.setattr(data, "MNIST_MIRRORS", ())
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.delenv("ELLZERO_DATA", raising=False)
    return write(tmp_path / "files", TINY)


class QuietHandler(SimpleHTTPRequestHandler):
    requested: list[str]

    def __init__(self, *args: object, requested: list[str], directory: str) -> None:
        self.requested = requested
        super().__init__(*args, directory=directory)

    def do_GET(self) -> None:
        self.requested.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


class Mirror:
    """A folder served on this machine, and the list of what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.requested: list[str] = []
        handler = partial(QuietHandler, requested=self.requested, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirror(tiny_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Mirror(tiny_mnist)
    monkeypatch.setattr(data, "MNIST_MIRRORS", (server.url,))
    yield server
    server.close()


# --- the format ---


@pytest.mark.parametrize("shape", [(3,), (2, 4, 5), (0, 2, 2)])
def test_parsing_gives_back_what_was_written(shape):
    entries = torch.randint(256, shape, generator=torch.Generator().manual_seed(0))
    parsed = parse_idx(idx_bytes(entries), num_dims=len(shape), path=Path("made-by-hand"))
    assert parsed.dtype == torch.uint8
    assert torch.equal(parsed.long(), entries)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with the magic number 0x, expected 0x00000801"),
        (b"\x00\x00\x0d\x01" + b"\x00" * 8, "magic number 0x00000d01"),
        (idx_bytes(torch.zeros(1, 1, 1)), "0x00000803, expected 0x00000801 .* in 1 dimensions"),
        (idx_bytes(torch.zeros(9))[:6], "truncated: 6 bytes, expected a header of 8"),
        (idx_bytes(torch.zeros(9))[:-1], r"truncated: 16 bytes, expected 17 for the shape \(9,\)"),
        (idx_bytes(torch.zeros(9)) + b"x", "too long: 18 bytes, expected 17"),
    ],
)
def test_parsing_refuses_what_is_not_the_announced_tensor_and_names_the_file(content, message):
    with pytest.raises(DataError, match=f"folder/labels.*{message}.*fresh copy"):
        parse_idx(content, num_dims=1, path=Path("folder/labels"))


def test_content_is_the_same_plain_and_gzipped(tmp_path):
    write(tmp_path, {"file": b"some bytes"}, compress=True)
    write(tmp_path, {"file": b"some bytes"}, compress=False)
    assert read_content(tmp_path / "file.gz") == read_content(tmp_path / "file") == b"some bytes"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda stream: b"no gzip at all", "is not a valid gzip file"),
        (lambda stream: stream[: len(stream) // 2], "is truncated"),
        (lambda stream: stream[:30] + bytes([stream[30] ^ 0xFF]) + stream[31:], "is not a valid gzip file"),
        (lambda stream: stream[:-8] + b"\x00" * 8, "is not a valid gzip file"),
    ],
    ids=["other format", "cut in half", "a flipped byte", "a wrong sum"],
)
def test_a_damaged_gzip_is_refused_by_name(tmp_path, damage, message):
    (tmp_path / "file.gz").write_bytes(damage(gzip.compress(bytes(range(256)) * 4)))
    with pytest.raises(DataError, match=rf"file\.gz {message}.*fresh copy"):
        read_content(tmp_path / "file.gz")


# --- where MNIST is looked for ---


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("subfolder", [".", "mnist"])
def test_mnist_is_read_from_a_folder_or_its_subfolder(tiny_mnist, tmp_path, compress, subfolder):
    write(tmp_path / "data" / subfolder, TINY, compress=compress)
    images = load_mnist(tmp_path / "data")
    assert images.train_x.shape == (2, 1, 2, 3)
    assert images.train_x[1, 0, 1, 2].item() == pytest.approx((11 / 255 - 0.1307) / 0.3081, abs=1e-6)
    assert torch.equal(images.train_y, torch.tensor([4, 9]))
    assert images.test_x.shape == (1, 1, 2, 3)
    assert images.test_x.dtype == torch.float32


@pytest.mark.parametrize("subfolder", [".", "mnist"])
def test_the_environment_names_the_folder_when_no_argument_does(tiny_mnist, tmp_path, monkeypatch, subfolder):
    write(tmp_path / "data" / subfolder, TINY)
    monkeypatch.setenv("ELLZERO_DATA", str(tmp_path / "data"))
    assert load_mnist().train_x.shape == (2, 1, 2, 3)


def test_an_explicit_folder_comes_before_the_environment(tiny_mnist, monkeypatch):
    monkeypatch.setenv("ELLZERO_DATA", "no/such/folder")
    assert load_mnist(str(tiny_mnist)).train_x.shape == (2, 1, 2, 3)


def test_a_missing_folder_is_refused_even_when_a_download_would_work(mirror, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"the data folder .*nowhere does not exist.*leave it out to download"):
        load_mnist(tmp_path / "nowhere")
    monkeypatch.setenv("ELLZERO_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"the ELLZERO_DATA folder .*nowhere does not exist.*unset it"):
        load_mnist()
    assert mirror.requested == []


def test_a_file_in_place_of_a_folder_is_refused(tiny_mnist):
    with pytest.raises(DataError, match="is not a folder"):
        load_mnist(tiny_mnist / "train-images-idx3-ubyte.gz")


def test_a_folder_without_a_file_is_refused_with_what_is_missing_and_what_was_expected(tiny_mnist):
    (tiny_mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"lacks t10k-labels-idx1-ubyte; expected.*train-images.*copy the missing"):
        load_mnist(tiny_mnist)


@pytest.mark.parametrize("name", TINY)
def test_another_content_of_the_right_shape_is_refused_by_its_sum(tiny_mnist, name):
    changed = TINY[name][:-1] + bytes([TINY[name][-1] ^ 1])
    write(tiny_mnist, {name: changed})
    sums = [hashlib.sha256(content).hexdigest() for content in (changed, TINY[name])]
    with pytest.raises(DataError, match=rf"{name}\.gz has the SHA-256 {sums[0]}.*expected {sums[1]}.*fresh copy"):
        load_mnist(tiny_mnist)


# --- the download ---


def test_a_download_is_kept_verified_and_used_again(mirror, tmp_path):
    first = load_mnist()
    assert sorted(mirror.requested) == sorted(f"/{name}.gz" for name in TINY)
    kept = tmp_path / "cache" / "ellzero" / "mnist"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == TINY
    assert torch.equal(load_mnist().train_x, first.train_x)
    assert len(mirror.requested) == len(TINY)


def test_a_damaged_file_in_the_cache_is_fetched_again(mirror, tmp_path):
    load_mnist()
    damaged = tmp_path / "cache" / "ellzero" / "mnist" / "train-labels-idx1-ubyte"
    damaged.write_bytes(b"half a fi")
    assert torch.equal(load_mnist().train_y, torch.tensor([4, 9]))
    assert mirror.requested[len(TINY) :] == ["/train-labels-idx1-ubyte.gz"]


@pytest.mark.parametrize("damage", [lambda s: s[:-9], lambda s: b"<html>", lambda s: gzip.compress(b"another file")])
def test_the_second_mirror_serves_what_the_first_has_damaged(mirror, tmp_path, monkeypatch, damage):
    name = "t10k-labels-idx1-ubyte"
    broken = write(tmp_path / "broken", TINY)
    (broken / f"{name}.gz").write_bytes(damage((broken / f"{name}.gz").read_bytes()))
    first = Mirror(broken)
    monkeypatch.setattr(data, "MNIST_MIRRORS", (first.url, mirror.url))
    try:
        assert torch.equal(load_mnist().test_y, torch.tensor([0]))
    finally:
        first.close()
    assert mirror.requested == [f"/{name}.gz"]


def test_a_failed_download_names_the_mirrors_and_the_way_around(mirror, tiny_mnist, tmp_path):
    (tiny_mnist / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=rf"could not download .*{re.escape(mirror.url)}.*404.*--data or ELLZERO_DATA"):
        load_mnist()
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("module", "load", "package"),
    [("pooch", load_mnist, "pooch"), ("sklearn.datasets", load_digits, "scikit-learn")],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(tiny_mnist, monkeypatch, module, load, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf'needs {package}.*pip install "ellzero\[data\]"'):
        load()


# --- the data themselves ---


def test_digits_are_a_fixed_split_with_every_class_alike():
    digits, again, other = load_digits(), load_digits(), load_digits(seed=1)
    assert torch.equal(digits.train_x, again.train_x)
    assert not torch.equal(digits.train_x, other.train_x)
    shares = digits.test_y.bincount() / (digits.test_y.bincount() + digits.train_y.bincount())
    assert shares.tolist() == pytest.approx([360 / 1797] * 10, abs=5e-3)  # half an image of about 180


def test_digits_are_standardised_by_the_training_part():
    digits = load_digits()
    assert digits.train_x.dtype == digits.test_x.dtype == torch.float32
    assert digits.train_x.mean().item() == pytest.approx(0, abs=1e-5)
    assert digits.train_x.std().item() == pytest.approx(1, abs=1e-5)
    assert digits.test_x.min().item() == pytest.approx(digits.train_x.min().item(), abs=1e-6)  # a blank pixel


def test_the_names_and_sums_are_those_of_the_published_files():
    assert data.MNIST_SHA256.keys() == TINY.keys()
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in data.MNIST_SHA256.values())


@real_mnist
def test_the_real_mnist_loads_quickly_and_is_standardised():
    start = time.perf_counter()
    mnist = load_mnist(MNIST)
    assert time.perf_counter() - start < 10  # about 1 s on an idle machine
    assert mnist.train_x.shape == (60_000, 1, 28, 28)
    assert mnist.test_x.shape == (10_000, 1, 28, 28)
    assert mnist.train_x.mean().item() == pytest.approx(0, abs=1e-3)
    assert mnist.train_x.std().item() == pytest.approx(1, abs=1e-3)
    assert mnist.train_y[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.test_y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@real_mnist
def test_a_real_file_cut_short_is_refused_by_name(tmp_path):
    for path in MNIST.glob("*.gz"):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    whole = (MNIST / "train-images-idx3-ubyte.gz").read_bytes()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(whole[:1_000_000])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is truncated"):
        load_mnist(tmp_path)
