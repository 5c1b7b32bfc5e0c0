"""`ellzero check`: the table, and the exit code that says whether every check passed."""

import sys

import pytest

from ellzero.cli import Exit, main

CHECKED = """
import torch
from torch import nn

def network():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

def example():
    return {"input": torch.zeros(1, 4)}

def build():
    return network(), torch.zeros(1, 4)

class Baked(nn.Sequential):
    def forward(self, values):
        return self[1](self[0](values).view(-1, 3, 2).transpose(1, 2).reshape(-1, 6))

def baked():
    return Baked(nn.Linear(4, 6), nn.Linear(6, 2)), torch.zeros(2, 4)

def narrow():
    return network(), torch.zeros(1, 3)

def nothing():
    return None

def single():
    return (network(),)

def broken():
    raise KeyError("no such thing")
"""

QUICK = [f"--skip={made} {what}" for made in ("export", "compile") for what in ("gated", "pruned")]


@pytest.fixture
def checked(tmp_path, monkeypatch) -> str:
    """The name of a fresh module in the current folder."""
    name = "checked_" + "".join(filter(str.isalnum, tmp_path.name))
    (tmp_path / f"{name}.py").write_text(CHECKED, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def test_a_network_that_passes_prints_its_table(checked, capsys):
    assert main(["check", f"{checked}:build"]) == Exit.DONE
    printed = capsys.readouterr()
    assert "0             6  can be gated" in printed.out
    assert printed.out.endswith("Sequential: 12 passed\n")
    assert not printed.err


def test_the_example_may_come_from_a_function_of_its_own(checked, capsys):
    words = ["check", f"{checked}:network", "--example", f"{checked}:example", "--inputs", "--plans", "1", *QUICK]
    assert main(words) == Exit.DONE
    assert "input         4  can be gated" in capsys.readouterr().out


def test_a_part_that_is_kept_is_said_to_be(checked, capsys):
    assert main(["check", f"{checked}:build", "--keep", "0", "--seed", "3"]) == Exit.DONE
    assert "kept: you asked to keep it" in capsys.readouterr().out


def test_fixed_sizes_are_checked_as_exported_graphs_if_that_is_asked_for(checked, capsys):
    assert main(["check", f"{checked}:baked", "--plans", "1", *QUICK]) == Exit.DONE
    assert "kept: its width is fixed in the forward pass" in capsys.readouterr().out
    assert main(["check", f"{checked}:baked", "--exported", "--plans", "1", *QUICK]) == Exit.DONE
    printed = capsys.readouterr().out
    assert "0             3  can be gated" in printed
    assert "cut as exported graphs" in printed


def test_a_failed_check_has_a_code_of_its_own_and_the_table_is_printed_all_the_same(checked, capsys):
    assert main(["check", f"{checked}:narrow"]) == Exit.CHECK == 7
    printed = capsys.readouterr()
    assert "Sequential: 1 failed, 11 skipped" in printed.out
    assert printed.err.startswith("ellzero: error: 1 of 12 checks of Sequential failed: trace: the forward pass failed")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build"], "must be given as module:function, got 'build'"),
        (["{}:bild"], "did you mean 'build'?"),
        (["{}:network"], "returns a network without an example; return (network, example), or name a function"),
        (["{}:nothing"], "must return (network, example), got NoneType"),
        (["{}:single"], "must return (network, example), got tuple"),
        (["{}:nothing", "--example", "{}:example"], "must return an nn.Module, got NoneType"),
        (["{}:broken"], "failed: KeyError: 'no such thing'"),
        (["{}:build", "--skip", "export"], "skip names 'export', which is no check"),
        (["{}:build", "--plans", "0"], "at least one random plan is needed"),
        (["{}:build", "--exmaple", "x"], "did you mean '--example'?"),
        ([], "the following arguments are required: MODULE:FUNCTION"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said_in_one_line(checked, capsys, words, message):
    assert main(["check", *(word.format(checked) for word in words)]) == Exit.USAGE
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
