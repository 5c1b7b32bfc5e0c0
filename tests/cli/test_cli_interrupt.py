"""Ctrl-C: what is there is delivered; a second one leaves nothing half-written."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ellzero.artifacts import load
from ellzero.cli import Exit, commands, display, main
from ellzero.recipes import digits, output

SHORT = ["train", "digits", "--epochs", "2", "--budget", "params=0.5"]


@pytest.mark.skipif(os.name == "nt", reason="signals are sent another way on Windows")
def test_ctrl_c_delivers_what_is_there(tmp_path):
    # a job in the background would ignore the signal
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"{heard}; import sys; from ellzero.cli import main; sys.exit(main())"
    words = ["train", "digits", "--epochs", "5000", "--gate-lr", "0.01", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert any(line.split()[:1] == ["2/5000"] for line in process.stdout)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED
    assert err.startswith("ellzero: interrupted after")
    assert err.count("\n") == 1
    small = load(tmp_path / "out" / "artifact", digits.build)
    assert sum(parameter.numel() for parameter in small.parameters()) <= 5300
    assert json.loads((tmp_path / "out" / "report.json").read_text())["stopped"] == "interrupted"


def test_ctrl_c_before_the_first_epoch_has_ended_delivers_too(tmp_path, monkeypatch, capsys, facts):
    def interrupt(outputs, targets):
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.nn.functional.cross_entropy", interrupt)
    out = tmp_path / "out"
    assert main([*SHORT, "--out", str(out)]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == f"ellzero: interrupted after 0 epochs; what was there is in {out}\n"
    assert (facts(out)["stopped"], facts(out)["history"]) == ("interrupted", [])
    assert not (out / "curves.svg").exists()
    load(out / "artifact", digits.build)


def test_ctrl_c_before_training_leaves_nothing(tmp_path, monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(digits, "load_digits", interrupt)
    assert main([*SHORT, "--out", str(tmp_path / "out")]) == Exit.INTERRUPTED
    assert "before there was anything to deliver" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", ["save", "curves", "architecture", "write_json"])
def test_ctrl_c_while_writing_leaves_the_training_and_nothing_half_written(moment, short, tmp_path, capsys, files):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(output, moment, interrupt)
        assert main([*SHORT, "--out", str(out)]) == Exit.INTERRUPTED
    assert f"the training is kept, cut it with: ellzero cut {out}" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {"plan.json", "training.safetensors"}
    assert main(["cut", str(out)]) == Exit.DONE
    assert files(out / "artifact") == files(short / "artifact")


def test_the_display_is_a_live_table_on_a_terminal(tmp_path, monkeypatch):
    class Terminal:
        encoding = "utf-8"

        def __init__(self):
            self.text = ""

        def write(self, text):
            self.text += text
            return len(text)

        def flush(self):
            pass

        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(commands, "Display", lambda *a, **k: display.Display(*a, **k, stream=terminal))
    start = time.monotonic()
    assert main([*SHORT, "--out", str(tmp_path / "out")]) == Exit.DONE
    assert time.monotonic() - start < 60
    assert "2/2" in terminal.text
    assert "multiplier" in terminal.text
