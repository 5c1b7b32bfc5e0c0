"""The IDX format of the MNIST files: plain or gzipped bytes in, a tensor out, or an error that names the file."""

__all__ = ["parse_idx", "read_content"]

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from ellzero.errors import DataError

_UNSIGNED_BYTE = 0x08


def read_content(path: Path) -> bytes:
    """Read a file, decompressed when its name ends in `.gz`.

    Args:
        path: the file; only the name says whether it is compressed.

    Returns:
        The uncompressed bytes.

    Raises:
        DataError: if the file cannot be read, is no gzip file, or ends too early.

    Source:
        RFC 1952, https://www.rfc-editor.org/rfc/rfc1952

    Example:
        >>> read_content(Path("no-such-file.gz"))
        Traceback (most recent call last):
        ...
        ellzero.errors.DataError: cannot read no-such-file.gz: ...
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except EOFError as error:
        raise DataError(f"{path} is truncated: the gzip stream ends before its end marker; {_REPLACE}") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a valid gzip file ({error}); {_REPLACE}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}; check the path and its permissions") from error


def parse_idx(content: bytes, *, num_dims: int, path: Path) -> Tensor:
    r"""Turn the bytes of an IDX file of unsigned bytes into a tensor.

    .. math:: \text{file} = (0, 0, 8, D),\; n_1, \dots, n_D \text{ as big-endian 32-bit integers},\; \prod_d n_d
        \text{ bytes}

    Args:
        content: the uncompressed file.
        num_dims: expected number of dimensions D: 3 for images, 1 for labels.
        path: where the bytes came from, for the error messages.

    Returns:
        The entries, uint8, shape `(n_1, ..., n_D)`, in memory of their own.

    Raises:
        DataError: if the magic number, the number of dimensions or the length is not the expected one.

    Source:
        LeCun, Cortes & Burges, "The IDX file format", http://yann.lecun.com/exdb/mnist/

    Example:
        >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]), num_dims=1, path=Path("labels"))
        tensor([7, 2, 1], dtype=torch.uint8)
    """
    magic, expected_magic = content[:4], bytes([0, 0, _UNSIGNED_BYTE, num_dims])
    if magic != expected_magic:
        raise DataError(
            f"{path} starts with the magic number 0x{magic.hex()}, expected 0x{expected_magic.hex()} "
            f"(unsigned bytes in {num_dims} dimensions); {_REPLACE}"
        )
    start = 4 + 4 * num_dims
    if len(content) < start:
        raise DataError(f"{path} is truncated: {len(content)} bytes, expected a header of {start}; {_REPLACE}")
    shape = struct.unpack(f">{num_dims}I", content[4:start])
    expected, found = start + math.prod(shape), len(content)
    if found != expected:
        fault = "is truncated" if found < expected else "is too long"
        raise DataError(f"{path} {fault}: {found} bytes, expected {expected} for the shape {shape}; {_REPLACE}")
    if not math.prod(shape):
        return torch.empty(shape, dtype=torch.uint8)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=start).view(shape)


_REPLACE = "replace this file by a fresh copy"
