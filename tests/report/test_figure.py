"""How pictures are written: whole or not at all, without a trace in matplotlib's settings."""

import subprocess
import sys
from pathlib import Path

import pytest

from ellzero.errors import MissingExtraError
from ellzero.report import architecture, curves
from ellzero.report.figure import write_svg


def test_a_missing_matplotlib_is_named_with_its_extra(tmp_path, monkeypatch, trained, make_history):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ellzero\[plots\]"'):
        curves(make_history(2, {"params": 0.1}), tmp_path / "curves.svg")
    with pytest.raises(MissingExtraError, match=r'pip install "ellzero\[plots\]"'):
        architecture(trained[2], tmp_path / "architecture.svg")
    assert not list(tmp_path.iterdir())


def test_the_users_style_has_no_effect_and_is_left_alone(tmp_path, make_history):
    matplotlib = pytest.importorskip("matplotlib")
    history = make_history(4, {"params": 0.1})
    curves(history, tmp_path / "plain.svg")
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "mine", "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        curves(history, tmp_path / "styled.svg")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "styled.svg").read_bytes()


def test_dollars_in_names_are_no_formulas(tmp_path, make_history, texts_of):
    pytest.importorskip("matplotlib")
    curves(make_history(2, {"params of 'a$b$<c>&'": 0.1}), tmp_path / "curves.svg")
    assert "params of 'a$b$<c>&'" in texts_of(tmp_path / "curves.svg")


def test_a_failed_write_keeps_the_old_picture_and_leaves_nothing_behind(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.svg"
    picture.write_text("old")

    def fail(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_svg(picture, (1, 1), lambda figure: None)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.svg"]
    assert picture.read_text() == "old"


def test_a_picture_has_no_date(tmp_path):
    pytest.importorskip("matplotlib")
    write_svg(tmp_path / "picture.svg", (1, 1), lambda figure: None)
    assert "date" not in (tmp_path / "picture.svg").read_text().lower()


def test_a_path_that_is_not_svg_is_refused(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match=r"written as SVG, got 'picture.png'; call it 'picture.svg'"):
        write_svg(tmp_path / "picture.png", (1, 1), lambda figure: None)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        write_svg(tmp_path / "nowhere" / "picture.svg", (1, 1), lambda figure: None)


def test_the_room_can_be_entered_when_its_name_is_the_function(tmp_path):
    pytest.importorskip("matplotlib")
    script = f"""
import sys
import ellzero
from ellzero.report import report
ellzero.report = report
from ellzero.report import architecture, curves
from ellzero.report.figure import write_svg
assert callable(ellzero.report) and callable(curves) and callable(architecture)
write_svg({str(tmp_path / "picture.svg")!r}, (1, 1), lambda figure: None)
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)
