"""`ellzero prune`: the user's own network, data and loss."""

import importlib
import json

import pytest

from ellzero.artifacts import load
from ellzero.cli import Exit, main
from ellzero.recipes import output

FAST = ["--epochs", "3", "--gate-lr", "0.2"]


def test_a_network_of_one_s_own_is_trained_cut_and_loaded_back(mine, tmp_path, facts):
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:loaders", "--budget", "params=0.5", *FAST]
    assert main([*words, "--out", "out"]) == Exit.DONE
    small = load(tmp_path / "out" / "artifact", importlib.import_module(mine).build)
    report = facts(tmp_path / "out")
    assert sum(parameter.numel() for parameter in small.parameters()) == report["sizes"][0]["after"] <= 0.5 * 163
    assert (report["measure"], report["recipe"]) == ("error", "prune")
    assert 0 <= report["error"] <= 1


def test_the_same_seed_gives_the_same_bits_with_shuffled_loaders(mine, tmp_path, facts, files):
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:loaders", "--budget", "params=0.5", *FAST]
    assert main([*words, "--out", "one"]) == Exit.DONE
    assert main([*words, "--out", "two"]) == Exit.DONE
    assert files(tmp_path / "one" / "artifact") == files(tmp_path / "two" / "artifact")
    assert facts(tmp_path / "one") == facts(tmp_path / "two")


def test_planning_first_and_cutting_later_works_for_one_s_own_network(mine, tmp_path):
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:loaders", "--budget", "params=0.5", *FAST]
    assert main([*words, "--out", "out", "--plan-only"]) == Exit.DONE
    assert main(["cut", "out"]) == Exit.DONE
    assert (tmp_path / "out" / "artifact").is_dir()


def test_another_loss_is_used_and_measured(mine, tmp_path, capsys, facts):
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:regression", "--loss", f"{mine}:squared", *FAST]
    assert main([*words, "--penalty", "params=1e-6", "--out", "out"]) == Exit.DONE
    report = facts(tmp_path / "out")
    assert report["measure"] == "loss"
    assert report["error"] > 0
    assert "test loss" in capsys.readouterr().out


def test_inputs_and_kept_layers_are_handed_on(mine, tmp_path, facts):
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:loaders", "--penalty", "params=1e-6", *FAST]
    assert main([*words, "--out", "out", "--inputs", "--pretrained", "--keep", "2"]) == Exit.DONE
    report = facts(tmp_path / "out")
    assert [group["kind"] for group in report["groups"]] == ["input"]
    assert report["settings"]["keep"] == ["2"]


def test_yaml_holds_all_that_prune_needs(mine, tmp_path):
    (tmp_path / "my.yaml").write_text(
        f"model: '{mine}:build'\ndata: '{mine}:loaders'\nbudget: {{params: 0.5}}\n"
        "epochs: 3\ngate_lr: 0.2\nkeep: []\ninputs: true\n",
        encoding="utf-8",
    )
    assert main(["prune", "--config", "my.yaml"]) == Exit.DONE
    assert json.loads((tmp_path / "runs" / "prune" / "report.json").read_text())["settings"]["inputs"] is True


def test_data_with_nan_stop_training_with_the_step_and_deliver_the_last_good_state(mine, tmp_path, capsys, facts):
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:poisoned", "--penalty", "params=1e-6", *FAST]
    assert main([*words, "--out", "out"]) == Exit.NOT_FINITE
    assert "in step 3; the inputs of this batch hold NaN" in capsys.readouterr().err
    report = facts(tmp_path / "out")
    assert (report["stopped"], report["history"], report["error"]) == ("not finite", [], None)
    load(tmp_path / "out" / "artifact", importlib.import_module(mine).build)


@pytest.mark.parametrize(
    "case",
    [
        ("poisoned_test", [], "an output of the network is NaN or infinite: the test data hold NaN"),
        ("poisoned_targets", ["--loss", "{}:squared"], "the loss is NaN or infinite: the test data hold NaN"),
    ],
)
def test_test_data_with_nan_have_no_error_and_the_network_is_delivered(mine, tmp_path, capsys, facts, case):
    data, words, message = case
    words = [word.replace("{}", mine) for word in words]
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:{data}", "--penalty", "params=1e-6", *FAST, *words]
    assert main([*words, "--out", "out"]) == Exit.NOT_FINITE
    assert message in capsys.readouterr().err
    report = facts(tmp_path / "out")
    assert (report["stopped"], report["history"], report["error"]) == ("not finite", [], None)
    load(tmp_path / "out" / "artifact", importlib.import_module(mine).build)


def test_test_data_without_a_sample_are_refused_before_training(mine, tmp_path, capsys):
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:empty_test", "--penalty", "params=1e-6", *FAST]
    assert main([*words, "--out", "out"]) == Exit.USAGE
    assert f"the test data of {mine}:empty_test hold no sample; return at least one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "case",
    [
        ("drying", Exit.USAGE, "the test data gave no sample this time"),
        ("raising", Exit.FAILED, "OSError: the disk is gone"),
    ],
)
def test_an_error_in_the_evaluation_keeps_what_was_trained(mine, tmp_path, capsys, facts, case):
    data, code, message = case
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:{data}", "--budget", "params=0.5", *FAST]
    assert main([*words, "--out", "out"]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.endswith("; what was trained is kept, cut it with: ellzero cut out\n")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"plan.json", "training.safetensors"}
    assert main(["cut", "out"]) == Exit.DONE
    assert (facts(tmp_path / "out")["stopped"], len(facts(tmp_path / "out")["history"])) == ("failed", 1)
    load(tmp_path / "out" / "artifact", importlib.import_module(mine).build)


def test_an_error_in_the_evaluation_of_the_cut_network_keeps_the_training(mine, tmp_path, monkeypatch, capsys):
    def fail(*args: object) -> None:
        raise RuntimeError("no such device")

    monkeypatch.setattr(output, "_measured", fail)
    words = ["prune", "--model", f"{mine}:build", "--data", f"{mine}:loaders", "--budget", "params=0.5", *FAST]
    assert main([*words, "--out", "out"]) == Exit.FAILED
    assert capsys.readouterr().err.endswith("RuntimeError: no such device; the training is kept in out\n")
    assert (tmp_path / "out" / "training.safetensors").is_file()


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("nowhere:build", "{}:loaders", "there is no module 'nowhere' in"),
        ("{}:bild", "{}:loaders", "has no function 'bild'; did you mean 'build'?"),
        ("{}", "{}:loaders", "model must be given as module:function, got '{}'"),
        ("{}:broken", "{}:loaders", "{}:broken failed: KeyError: 'no such thing'"),
        ("{}:loaders", "{}:loaders", "{}:loaders must return an nn.Module, got tuple"),
        ("{}:build", "{}:build", "{}:build must return (train, test), got Sequential"),
        ("{}:build", "{}:once", "the train data of {}:once must be batches that can be gone through again"),
    ],
)
def test_a_wrong_function_is_refused_by_name(mine, capsys, model, data, message):
    names = [text.replace("{}", mine) for text in (model, data)]
    assert main(["prune", "--model", names[0], "--data", names[1], "--budget", "params=0.5"]) == Exit.USAGE
    err = capsys.readouterr().err
    assert message.replace("{}", mine) in err
    assert err.count("\n") == 1


def test_a_module_that_fails_to_import_is_refused_with_the_reason(mine, tmp_path, capsys):
    (tmp_path / f"{mine}_b.py").write_text("import no_such_package", encoding="utf-8")
    words = ["prune", "--model", f"{mine}_b:build", "--data", f"{mine}:loaders", "--budget", "params=0.5"]
    assert main(words) == Exit.USAGE
    assert "No module named 'no_such_package'" in capsys.readouterr().err
