"""The images that the recipes train on: MNIST from a folder or the network, and scikit-learn's bundled digits."""

__all__ = ["Images", "load_digits", "load_mnist"]

import gzip
import hashlib
import importlib
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ellzero.errors import DataError, MissingExtraError
from ellzero.recipes.idx import parse_idx, read_content

MNIST_MEAN, MNIST_STD = 0.1307, 0.3081

# SHA-256 of the *uncompressed* files: the published bytes are the same everywhere, their gzips are not.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
DOWNLOAD_TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class Images:
    """Labelled grey images, standardised with one mean and one standard deviation, in a training and a test part."""

    train_x: Tensor
    """Training images, float32, shape `(num_train, 1, height, width)`."""
    train_y: Tensor
    """Training labels, int64, shape `(num_train,)`."""
    test_x: Tensor
    """Test images, float32, shape `(num_test, 1, height, width)`."""
    test_y: Tensor
    """Test labels, int64, shape `(num_test,)`."""


def load_mnist(folder: Path | str | None = None) -> Images:
    r"""Load MNIST from a folder, from `ELLZERO_DATA`, or from a mirror; every byte is checked against its SHA-256.

    .. math:: x = (\text{pixel} / 255 - 0.1307) / 0.3081

    Args:
        folder: holds the four IDX files, gzipped (`.gz`) or plain, itself or in a subfolder `mnist`. Without it, the
            folder that the environment variable `ELLZERO_DATA` names; without that, the files are downloaded once and
            kept in the user's cache.

    Returns:
        60,000 training and 10,000 test images of shape `(1, 28, 28)`.

    Raises:
        DataError: if the folder or a file is missing, damaged or not the published one, or no mirror answers.
        MissingExtraError: if the files have to be downloaded and pooch is not installed.

    Source:
        LeCun, Cortes & Burges (1998), http://yann.lecun.com/exdb/mnist/

    Example:
        >>> load_mnist("no/such/folder")
        Traceback (most recent call last):
        ...
        ellzero.errors.DataError: the data folder no/such/folder does not exist; ...
    """
    paths = _find_mnist(folder)
    train_x, train_y, test_x, test_y = (_read_checked(paths[name], MNIST_SHA256[name]) for name in MNIST_SHA256)
    return Images(
        _standardise(train_x.float().div_(255), mean=MNIST_MEAN, std=MNIST_STD),
        train_y.long(),
        _standardise(test_x.float().div_(255), mean=MNIST_MEAN, std=MNIST_STD),
        test_y.long(),
    )


def load_digits(seed: int = 0) -> Images:
    """Load the 1797 handwritten digits that scikit-learn carries; nothing is downloaded.

    Every class is split alike, and both parts are standardised with the mean and deviation of the training pixels.

    Args:
        seed: of the split; one seed is one split, whatever the machine.

    Returns:
        1437 training and 360 test images of shape `(1, 8, 8)`.

    Raises:
        MissingExtraError: if scikit-learn is not installed.

    Source:
        Alpaydin & Kaynak (1998), https://archive.ics.uci.edu/dataset/80

    Example:
        >>> digits = load_digits()
        >>> digits.train_x.shape, digits.test_x.shape
        (torch.Size([1437, 1, 8, 8]), torch.Size([360, 1, 8, 8]))
    """
    datasets = _import_extra("sklearn.datasets", package="scikit-learn", purpose="loading the digits")
    splits = _import_extra("sklearn.model_selection", package="scikit-learn", purpose="splitting the digits")
    bundle = datasets.load_digits()
    parts = splits.train_test_split(
        bundle.images, bundle.target, test_size=360, stratify=bundle.target, random_state=seed
    )
    train_x, test_x = (torch.from_numpy(part).float().unsqueeze(1) for part in parts[:2])  # (num, 1, 8, 8)
    train_y, test_y = (torch.from_numpy(part).long() for part in parts[2:])
    mean, std = train_x.mean().item(), train_x.std().item()
    return Images(_standardise(train_x, mean=mean, std=std), train_y, _standardise(test_x, mean=mean, std=std), test_y)


def _find_mnist(folder: Path | str | None) -> dict[str, Path]:
    """Path of every MNIST file by its plain name: from the folder, the environment, or the network, in this order."""
    if folder is not None:
        return _find_in(Path(folder), origin="the data folder", otherwise="leave it out to download MNIST")
    if from_environment := os.environ.get("ELLZERO_DATA"):
        return _find_in(
            Path(from_environment), origin="the ELLZERO_DATA folder", otherwise="unset it to download MNIST"
        )
    return _download_mnist()


def _find_in(folder: Path, *, origin: str, otherwise: str) -> dict[str, Path]:
    """Find the files in the folder or its subfolder `mnist`; refuse with the list of what is missing."""
    if not folder.is_dir():
        fault = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"{origin} {folder} {fault}; give a folder with the four MNIST files, or {otherwise}")
    found = max((_present(place) for place in (folder, folder / "mnist")), key=len)
    if missing := [name for name in MNIST_SHA256 if name not in found]:
        raise DataError(
            f"{origin} {folder} lacks {', '.join(missing)}; expected there, or in its subfolder mnist, "
            f"{len(MNIST_SHA256)} files: {', '.join(MNIST_SHA256)}, each plain or with .gz; "
            f"copy the missing files there, or {otherwise}"
        )
    return found


def _present(folder: Path) -> dict[str, Path]:
    """The MNIST files that a folder holds; the plain file wins over the gzipped one."""
    candidates = {name: (folder / name, folder / f"{name}.gz") for name in MNIST_SHA256}
    return {name: path for name, pair in candidates.items() for path in reversed(pair) if path.is_file()}


def _read_checked(path: Path, sha256: str) -> Tensor:
    """Read one IDX file: (num, 1, height, width) for images, (num,) for labels. Shape first, its errors say more."""
    content = read_content(path)
    is_image = "idx3" in path.name
    entries = parse_idx(content, num_dims=3 if is_image else 1, path=path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path} has the SHA-256 {found} (of the uncompressed content), expected {sha256}; "
            "replace this file by a fresh copy"
        )
    return entries.unsqueeze(1) if is_image else entries


def _download_mnist() -> dict[str, Path]:
    """Fetch what the cache does not hold yet; the cache keeps the uncompressed, verified files."""
    pooch = _import_extra("pooch", package="pooch", purpose="downloading MNIST")
    folder = Path(pooch.os_cache("ellzero")) / "mnist"
    return {name: _fetch(pooch, name, folder) for name in MNIST_SHA256}


def _fetch(pooch: Any, name: str, folder: Path) -> Path:
    """Fetch one file from the first mirror that has the right content."""

    def download(url: str, output_file: str, _: object) -> None:
        # Decompressed before pooch takes its sum: so the sum is that of the content, and a wrong file is never kept.
        stream = io.BytesIO()
        pooch.HTTPDownloader(timeout=DOWNLOAD_TIMEOUT)(url, stream, None)
        Path(output_file).write_bytes(gzip.decompress(stream.getvalue()))

    failures = []
    for mirror in MNIST_MIRRORS:
        try:
            known_hash = f"sha256:{MNIST_SHA256[name]}"
            return Path(pooch.retrieve(f"{mirror}{name}.gz", known_hash, name, folder, downloader=download))
        except (OSError, EOFError, ValueError, zlib.error) as error:  # OSError: network, gzip, disk; ValueError: sum
            failures.append(f"{mirror}{name}.gz ({error})")
    raise DataError(
        f"could not download {name} into {folder}: {'; '.join(failures)}; "
        "check the connection, or put the four files into a folder by hand and name it with --data or ELLZERO_DATA"
    )


def _standardise(pixels: Tensor, *, mean: float, std: float) -> Tensor:
    return pixels.sub_(mean).div_(std)


def _import_extra(module: str, *, package: str, purpose: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f'{purpose} needs {package}, which is not installed; run: pip install "ellzero[data]"'
        ) from error
