"""Every mistake is one line on stderr and an exit code of its own; nothing is trained and nothing is left."""

import importlib
import subprocess
import sys

import pytest
import torch

from ellzero.cli import Exit, main
from ellzero.cli.exits import line_of
from ellzero.recipes import classify, digits


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder; one line on stderr, and the folder is empty afterwards."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        before = sorted(tmp_path.rglob("*"))
        code = main(words)
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert err.startswith("ellzero: ")
        assert "Traceback" not in err
        assert [path for path in sorted(tmp_path.rglob("*")) if path not in before and path.is_file()] == []
        return code, err

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a command is missing; known are train, prune, cut"),
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["train"], "RECIPE"),
        (["train", "digit"], "unknown recipe 'digit'; did you mean 'digits'?"),
        (["train", "digits", "--buget", "params=0.1"], "unknown option '--buget'; did you mean '--budget'?"),
        (["train", "digits", "--epoch", "3"], "unknown option '--epoch'; did you mean '--epochs'?"),
        (["train", "digits", "more"], "unexpected 'more'"),
        (["train", "digits", "--epochs", "three"], "invalid int value: 'three'"),
        (["train", "digits", "--epochs", "0"], "epochs must be at least 1, got 0"),
        (["train", "digits", "--lr", "nan"], "lr must be positive and finite, got nan"),
        (["train", "digits", "--seed", "-1"], "seed must be a whole number"),
        (["train", "digits", "--budget", "parms=0.1"], "unknown cost 'parms'; did you mean 'params'?"),
        (["train", "digits", "--budget", "params"], "expected KIND=NUMBER"),
        (["train", "digits", "--budget", "params:=0.1"], "expected KIND=NUMBER"),
        (["train", "digits", "--budget", "params=some"], "'some' is no number"),
        (["train", "digits", "--budget", "params=0.1", "--budget", "params=0.2"], "given twice"),
        (["train", "digits", "--budget", "params=10"], "must be a share in (0, 1], got 10.0; write 10 % as 0.1"),
        (["train", "digits", "--budget", "params=0"], "must be a share in (0, 1], got 0"),
        (["train", "digits", "--budget", "params=nan"], "must be a share in (0, 1], got nan"),
        (["train", "digits", "--penalty", "params=-1"], "must be finite and not negative"),
        (["train", "digits", "--budget", "params:fc3=0.1"], "no params belong to 'fc3'; did you mean 'fc2'?"),
        (["train", "digits", "--budget", "params=0.1", "--penalty", "params=1"], "both a budget and a penalty"),
        (["train", "digits", "--data", "here"], "'data' means nothing here"),
        (["train", "digits", "--config", "none.yaml"], "none.yaml cannot be read"),
        (["prune", "--model", "mine:build"], "neither a budget nor a penalty"),
        (["prune", "--budget", "params=0.5"], "model must be given as module:function, it is missing"),
    ],
)
def test_a_wrong_command_line_is_refused_with_what_would_be_right(refused, words, message):
    code, err = refused(*words)
    assert code == Exit.USAGE
    assert message in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch: 3", "unknown setting 'epoch'; did you mean 'epochs'?"),
        ("epochs: 1.5", "epochs must be a whole number, got 1.5"),
        ("epochs: true", "epochs must be a whole number, got True"),
        ("lr: fast", "lr must be a number, got 'fast'"),
        ("budget: 0.1", "budget must be a mapping such as {params: 0.1}, got 0.1"),
        ("budget: {parms: 0.1}", "unknown cost 'parms'; did you mean 'params'?"),
        ("budget: {params: {fc1: much}}", "budget: params: fc1 must be a number, got 'much'"),
        ("- epochs", "must hold one 'name: value' per line"),
        ("epochs: [1", "is no YAML"),
        ("", "must hold one 'name: value' per line"),
    ],
)
def test_a_wrong_config_is_refused_with_what_would_be_right(refused, tmp_path, content, message):
    (tmp_path / "my.yaml").write_text(content, encoding="utf-8")
    code, err = refused("train", "digits", "--config", "my.yaml")
    assert code == Exit.USAGE
    assert message in err


@pytest.mark.parametrize("command", [["train", "digits"], ["prune", "--model", "a:b", "--data", "a:c"]])
def test_a_folder_that_is_not_empty_is_refused_before_anything_is_read(refused, tmp_path, command):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine", encoding="utf-8")
    code, err = refused(*command, "--budget", "params=0.5", "--out", "out")
    assert code == Exit.USAGE
    assert "out is not empty; choose another --out, or replace earlier results with --overwrite" in err


def test_a_file_in_place_of_the_folder_is_refused(refused, tmp_path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    code, err = refused("train", "digits", "--out", "out", "--overwrite")
    assert code == Exit.USAGE
    assert "out is a file" in err


def test_a_budget_out_of_reach_is_refused_with_the_range(refused):
    code, err = refused("train", "digits", "--budget", "params=0.0001")
    assert code == Exit.BUDGET
    assert "can be brought to between" in err


def test_a_budget_out_of_reach_in_so_few_epochs_is_refused(refused):
    code, err = refused("train", "digits", "--gate-lr", "1e-4", "--epochs", "1")
    assert code == Exit.BUDGET
    assert "train longer" in err
    assert "--gate-lr" in err
    assert "parameter_groups" not in err


def test_an_error_is_shown_with_its_notes_even_if_it_is_long():
    error = ValueError("x" * 1000)
    error.add_note("all is kept")
    assert line_of(error) == "x" * 600 + "... (--debug shows all of it); all is kept"


def test_a_data_folder_without_the_files_is_refused(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    code, err = refused("train", "mnist-mlp", "--data", "empty")
    assert code == Exit.DATA
    assert "train-images-idx3-ubyte" in err


def test_a_folder_without_a_training_is_not_cut(refused):
    code, err = refused("cut", "nowhere")
    assert code == Exit.DATA
    assert "nowhere holds no plan.json" in err


def test_a_damaged_training_is_not_cut(refused, tmp_path):
    (tmp_path / "plan.json").write_text('{"shut": {}}', encoding="utf-8")
    (tmp_path / "training.safetensors").write_bytes(b"nothing")
    code, err = refused("cut", ".")
    assert code == Exit.DATA
    assert "is damaged" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", 'needs an object "shut"'),
        ("[]", 'needs an object "shut"'),
        ("nothing", "plan.json is no JSON"),
        ('{"shut": 3}', 'needs an object "shut"'),
        ('{"shut": {"conv1": "12"}}', "needs a list of channel numbers for 'conv1', got '12'"),
        ('{"shut": {"conv1": [1.5]}}', "needs a list of channel numbers for 'conv1', got [1.5]"),
    ],
)
def test_a_plan_that_is_none_is_not_cut(refused, tmp_path, text, message):
    (tmp_path / "plan.json").write_text(text, encoding="utf-8")
    code, err = refused("cut", ".")
    assert code == Exit.USAGE
    assert message in err


@pytest.mark.parametrize(
    ("package", "extra", "words"),
    [
        ("rich", "cli", []),
        ("matplotlib", "plots", []),
        ("sklearn.datasets", "data", []),
        ("yaml", "cli", ["--config", "my.yaml"]),
    ],
)
def test_a_missing_package_is_refused_with_the_extra_that_brings_it(refused, monkeypatch, package, extra, words):
    monkeypatch.setitem(sys.modules, package, None)
    code, err = refused("train", "digits", *words)
    assert code == Exit.EXTRA
    assert f'pip install "ellzero[{extra}]"' in err


def test_debug_shows_the_traceback_before_the_line(capsys):
    assert main(["train", "digits", "--epochs", "0", "--debug"]) == Exit.USAGE
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert "ellzero: error: epochs must be at least 1" in err


@pytest.mark.parametrize("kind", [RuntimeError, TypeError, OSError])
def test_an_unforeseen_error_is_one_line_as_well(refused, monkeypatch, kind):
    def fail() -> torch.nn.Module:
        raise kind("out of\nmemory")

    monkeypatch.setattr(digits, "build", fail)
    code, err = refused("train", "digits")
    assert code == Exit.FAILED
    assert f"{kind.__name__}: out of; memory" in err


def test_a_loss_that_is_nan_stops_training_and_delivers_the_last_good_state(tmp_path, monkeypatch, capsys):
    calls, entropy = [], torch.nn.functional.cross_entropy

    def loss(outputs, targets):
        calls.append(1)
        return entropy(outputs, targets) * (float("nan") if len(calls) == 30 else 1.0)

    monkeypatch.setattr(classify.F, "cross_entropy", loss)
    out = tmp_path / "out"
    assert main(["train", "digits", "--epochs", "3", "--budget", "params=0.5", "--out", str(out)]) == Exit.NOT_FINITE
    err = capsys.readouterr().err
    assert "the loss is nan in step 30" in err
    assert f"the last good state is in {out}" in err
    assert (out / "artifact" / "weights.safetensors").is_file()


def test_the_installed_command_hands_the_exit_code_to_the_shell(tmp_path):
    script = "import sys; from ellzero.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "train", "digit"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("did you mean 'digits'? (see ellzero train --help)\n")


def test_the_entry_point_is_there():
    assert importlib.import_module("ellzero.cli").main is main
