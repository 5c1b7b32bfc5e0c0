"""`ellzero train` and `ellzero cut`: what is delivered, and that it is the same every time."""

import json
import re
import shutil

import pytest
import torch

from ellzero.artifacts import load
from ellzero.cli import Exit, main
from ellzero.cli.display import shortfall
from ellzero.graph import structure_of
from ellzero.recipes import digits, mnist_mlp
from ellzero.recipes.classify import error_of
from ellzero.recipes.data import Images, load_digits

SHORT = ["train", "digits", "--epochs", "2", "--budget", "params=0.5"]


def test_a_training_leaves_network_report_plan_and_pictures(short):
    names = {path.name for path in short.iterdir()}
    assert names == {
        "artifact",
        "report.json",
        "plan.json",
        "curves.svg",
        "architecture.svg",
        "training.safetensors",
    }


def test_the_artifact_is_within_the_budget_and_has_the_error_of_the_report(short, facts):
    small, report = load(short / "artifact", digits.build).eval(), facts(short)
    params = sum(parameter.numel() for parameter in small.parameters())
    assert params == report["sizes"][0]["after"] <= 0.5 * report["sizes"][0]["before"]
    data = load_digits()
    assert error_of(small, data.test_x, data.test_y) == report["error"]


def test_the_report_holds_settings_versions_targets_and_history(short, facts):
    report = facts(short)
    assert report["settings"]["budget"] == {"params": 0.5}
    assert report["versions"]["torch"] == torch.__version__
    assert report["targets"][0]["is_met"]
    assert [epoch["epoch"] for epoch in report["history"]] == [1, 2]
    assert report["stopped"] == "finished"
    assert not any("seconds" in name for name in report["history"][0])


def test_the_plan_on_disk_is_the_one_that_was_cut(short, facts):
    plan = json.loads((short / "plan.json").read_text(encoding="utf-8"))
    structure = structure_of(load(short / "artifact", digits.build))
    assert plan["shut"] == {name: list(shut) for name, shut in structure.plan.shut.items()}
    widths = {group["name"]: {"before": group["before"], "after": group["after"]} for group in facts(short)["groups"]}
    assert plan["widths"] == widths


def test_the_same_seed_gives_the_same_bits(short, tmp_path, facts, files):
    assert main([*SHORT, "--out", str(tmp_path / "again")]) == Exit.DONE
    assert files(tmp_path / "again" / "artifact") == files(short / "artifact")
    assert facts(tmp_path / "again") == facts(short)
    assert (tmp_path / "again" / "plan.json").read_bytes() == (short / "plan.json").read_bytes()


def test_another_seed_gives_other_bits(short, tmp_path, files):
    assert main([*SHORT, "--seed", "1", "--out", str(tmp_path / "other")]) == Exit.DONE
    assert files(tmp_path / "other" / "artifact") != files(short / "artifact")


def test_planning_first_and_cutting_later_gives_the_same_bits(short, tmp_path, capsys, facts, files):
    out = tmp_path / "planned"
    assert main([*SHORT, "--out", str(out), "--plan-only"]) == Exit.DONE
    assert {path.name for path in out.iterdir()} == {"plan.json", "training.safetensors"}
    assert f"ellzero cut {out}" in capsys.readouterr().out
    assert main(["cut", str(out)]) == Exit.DONE
    assert files(out / "artifact") == files(short / "artifact")
    assert facts(out) == facts(short)


def test_an_edited_plan_is_cut_unless_it_is_over_the_budget(short, tmp_path, capsys):
    out = tmp_path / "edited"
    assert main([*SHORT, "--out", str(out), "--plan-only"]) == Exit.DONE
    plan = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    plan["shut"]["conv2"] = list(range(60))
    (out / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    assert main(["cut", str(out)]) == Exit.DONE
    assert load(out / "artifact", digits.build).conv2.out_channels <= 4
    assert main(["cut", str(out)]) == Exit.USAGE
    (out / "plan.json").write_text('{"shut": {}}', encoding="utf-8")
    assert main(["cut", str(out), "--overwrite"]) == Exit.BUDGET
    assert "the budget allows 26,501" in capsys.readouterr().err
    assert load(out / "artifact", digits.build).conv2.out_channels <= 4


@pytest.mark.parametrize(
    ("shut", "message"),
    [
        ({"conv1": [99]}, "the plan shuts channel 99 of 'conv1', which has 32 channels"),
        ({"conv1": [-1]}, "the plan shuts channel -1 of 'conv1'"),
        ({"conv3": [0]}, "no group is called 'conv3'"),
        ({"conv1": list(range(32))}, "the plan shuts all of 'conv1'"),
    ],
)
def test_a_plan_that_was_edited_wrongly_is_a_mistake_of_its_editor(short, tmp_path, capsys, shut, message):
    shutil.copytree(short, tmp_path / "out")
    (tmp_path / "out" / "plan.json").write_text(json.dumps({"shut": shut}), encoding="utf-8")
    assert main(["cut", str(tmp_path / "out"), "--overwrite"]) == Exit.USAGE
    err = capsys.readouterr().err
    assert message in err
    assert 'mend "shut" in plan.json' in err
    assert (tmp_path / "out" / "artifact").is_dir()


@pytest.mark.parametrize("words", [[], ["--plan-only"]])
def test_a_training_that_ends_far_above_its_budget_says_so(tmp_path, capsys, words):
    weak = ["train", "digits", "--epochs", "2", "--budget", "params=0.5", "--dual-lr", "1e-5"]
    assert main([*weak, "--out", str(tmp_path / "out"), *words]) == Exit.DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(
        r"training ended at an expected \d\d\.\d % of params instead of 50.0 %; \d+ open gates were shut: "
        "train longer, or raise --dual-lr / --gate-lr",
        shown,
    )


@pytest.mark.parametrize(("share", "is_said"), [(0.5, False), (0.52, False), (0.53, True)])
def test_five_per_cent_above_the_budget_are_not_worth_a_word(share, is_said):
    assert bool(shortfall({"macs": share, "params": 0.1}, {"macs": 0.5, "params": 0.1}, 3)) is is_said
    assert shortfall({"params": share}, {}, 0) == ""


def test_overwrite_replaces_results_and_leaves_other_files_alone(short, tmp_path, files):
    out = tmp_path / "twice"
    out.mkdir()
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    (out / "curves.svg").write_text("old", encoding="utf-8")
    assert main([*SHORT, "--out", str(out), "--overwrite"]) == Exit.DONE
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (out / "curves.svg").read_text(encoding="utf-8") != "old"
    assert files(out / "artifact") == files(short / "artifact")


def test_two_targets_and_a_pattern_are_all_met(tmp_path, capsys, facts):
    targets = ["--budget", "params:fc*=0.4", "--budget", "macs=0.6"]
    assert main(["train", "digits", "--epochs", "2", *targets, "--out", str(tmp_path / "out")]) == Exit.DONE
    report = facts(tmp_path / "out")
    assert report["settings"]["budget"] == {"params": {"fc*": 0.4}, "macs": 0.6}
    assert [target["is_met"] for target in report["targets"]] == [True, True]
    assert "params of 'fc*'" in capsys.readouterr().out


def test_a_penalty_takes_the_place_of_the_recipe_s_budget(tmp_path, facts):
    out = tmp_path / "out"
    assert main(["train", "digits", "--epochs", "1", "--penalty", "params=1e-6", "--out", str(out)]) == Exit.DONE
    report = facts(out)
    assert (report["settings"]["budget"], report["settings"]["penalty"]) == ({}, {"params": 1e-6})
    assert report["targets"] == []


def test_yaml_gives_settings_and_the_command_line_overrules_them(tmp_path, facts):
    config = tmp_path / "digits.yaml"
    config.write_text("epochs: 1\nlr: 1e-3\nbudget: {params: 0.6}\nseed: 3\n", encoding="utf-8")
    out = tmp_path / "out"
    words = ["train", "digits", "--config", str(config), "--budget", "units=0.5", "--out", str(out)]
    assert main(words) == Exit.DONE
    settings = facts(out)["settings"]
    assert (settings["epochs"], settings["lr"], settings["seed"]) == (1, 1e-3, 3)
    assert settings["budget"] == {"units": 0.5}


def test_mnist_is_drawn_with_the_pixels_that_are_read(tmp_path, monkeypatch):
    torch.manual_seed(0)
    part = torch.randn(256, 1, 28, 28), torch.arange(256) % 10
    monkeypatch.setattr(mnist_mlp, "load_mnist", lambda folder: Images(*part, *part))
    out = tmp_path / "out"
    words = ["train", "mnist-mlp", "--epochs", "1", "--penalty", "params=1e-9", "--data", str(tmp_path)]
    assert main([*words, "--out", str(out)]) == Exit.DONE
    assert "pixels" in (out / "architecture.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["prune", "--help"], ["cut", "--help"]])
def test_help_shows_examples_and_exit_codes(words, capsys):
    assert main(words) == Exit.DONE
    shown = capsys.readouterr().out
    assert "example" in shown
    assert "exit codes:" in shown
    assert "%%" not in shown


def test_every_line_of_progress_has_sizes_multiplier_and_time_left(tmp_path, capsys):
    assert main([*SHORT, "--out", str(tmp_path / "out")]) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "digits: 53,002 params; 480 gates in 4 groups"
    assert lines[2].split() == [
        "epoch",
        "loss",
        "error",
        "size",
        "of",
        "expected",
        "real",
        "target",
        "multiplier",
        "left",
    ]
    assert lines[3].split()[0] == "1/2"
    assert lines[4].split()[-1] == "0:00"
