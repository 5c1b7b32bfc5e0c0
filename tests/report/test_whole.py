"""A file is written whole or not at all."""

from pathlib import Path

import pytest

from ellzero.report.whole import write_whole


def test_a_file_is_written_and_replaced_and_nothing_else_is_left(tmp_path):
    for data in (b"one", b"two"):
        write_whole(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("moment", ["write_bytes", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, moment):
    def fail(self: Path, what: object) -> None:
        raise OSError("no space left")

    write_whole(tmp_path / "file", b"old")
    monkeypatch.setattr(Path, moment, fail)
    with pytest.raises(OSError, match="no space"):
        write_whole(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"
