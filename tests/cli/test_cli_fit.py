"""`ellzero fit`: what is delivered, that it is the same every time, and what is refused."""

import json

import numpy as np
import pytest

from ellzero.cli import Exit, main
from ellzero.dictionary import Certificate, Check, Equations
from ellzero.recipes import lotka_volterra
from ellzero.recipes.law_table import LAWS

SHORT = ["fit", "lotka-volterra", "--duration", "15", "--degree", "2", "--draws", "5", "--noise", "0.001"]
FILES = {"equations.json", "equations.md", "report.json"}
PICTURES = {"support.svg", "path.svg", "pareto.svg", "inclusion.svg", "trajectories.svg"}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("fit") / "prey"
    assert main([*SHORT, "--out", str(folder)]) == Exit.DONE
    return folder


def test_a_fit_leaves_equations_report_and_pictures(fitted):
    assert {path.name for path in fitted.iterdir()} == FILES | PICTURES


def test_the_equations_on_disk_are_the_law(fitted):
    states = np.random.default_rng(0).uniform(1, 10, (20, 2))
    found = Equations.load(fitted / "equations.json").numpy()(states)
    assert np.allclose(found, lotka_volterra.SYSTEM.law.numpy()(states), rtol=0.02, atol=0.02)


def test_the_report_holds_settings_equations_and_checks(fitted):
    report = json.loads((fitted / "report.json").read_text(encoding="utf-8"))
    assert report["recipe"] == "lotka-volterra"
    assert report["settings"]["draws"] == 5
    assert report["verified"]
    assert report["num_terms"] == 4
    assert len(report["equations"]) == 2
    assert all(check["limit"] is None or check["value"] <= check["limit"] for check in report["checks"])
    assert report["timing"]["seconds"] > 0


def test_the_text_has_the_source_in_every_language(fitted):
    text = (fitted / "equations.md").read_text(encoding="utf-8")
    for kind in ("latex", "python", "c", "text"):
        assert f"```{kind}\n" in text
    assert "passed" in text


def test_the_same_seed_gives_the_same_files(fitted, tmp_path):
    assert main([*SHORT, "--out", str(tmp_path / "again")]) == Exit.DONE
    for name in FILES | PICTURES:
        one, two = ((folder / name).read_text(encoding="utf-8") for folder in (fitted, tmp_path / "again"))
        if name == "report.json":
            one, two = (
                {key: value for key, value in json.loads(text).items() if key != "timing"} for text in (one, two)
            )
        assert one == two


def test_the_screen_shows_certificate_terms_and_files(fitted, tmp_path, capsys):
    assert main([*SHORT, "--out", str(tmp_path / "shown"), "--precision", "2"]) == Exit.DONE
    out = capsys.readouterr().out
    assert out.startswith("prey' = 1.1 prey - 0.4 prey predators\n")
    assert "the true terms, no other" in out
    assert f"wrote {tmp_path / 'shown' / 'equations.json'}" in out


def test_a_yaml_file_gives_settings_that_the_command_line_overrules(tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "prey.yaml").write_text("duration: 15\ndegree: 2\ndraws: 7\nnoise: 0.5\n")
    words = ["fit", "lotka-volterra", "--config", str(tmp_path / "prey.yaml"), "--noise", "0", "--out"]
    assert main([*words, str(tmp_path / "out")]) == Exit.DONE
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert (report["settings"]["draws"], report["settings"]["noise"]) == (7, 0.0)


def test_a_full_folder_is_kept_unless_it_may_be_replaced(fitted):
    assert main([*SHORT, "--out", str(fitted)]) == Exit.USAGE
    assert main([*SHORT, "--out", str(fitted), "--overwrite"]) == Exit.DONE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lorentz"], "unknown recipe 'lorentz'; did you mean 'lorenz'?"),
        (
            ["lorenz", "--steps", "3"],
            "lorenz has no option '--steps', which is one of pendulum-transition, pendulum-reward; did you mean",
        ),
        (
            ["lorenz", "--data", "here"],
            "lorenz has no option '--data', which is one of pendulum-transition, pendulum-reward",
        ),
        (
            ["burgers", "--duration", "3"],
            "burgers has no option '--duration', which is one of lorenz, rossler, van-der-pol, lotka-volterra",
        ),
        (["lorenz", "--noise", "-1"], "noise must be a share"),
        (["lorenz", "--noise", "1e9", "--draws", "2"], "noise must be a share of the signal from 0 to 10, got 1e+09"),
        (["lorenz", "--draws", "1000000000"], "draws must be at most 10,000"),
        (["burgers", "--points", "1000000000"], "points must be at most 4,096"),
        (["lorenz", "--terms", "many"], "invalid int value"),
        (["lorenz", "--term", "7"], "unknown option '--term'; did you mean '--terms'?"),
        (["lorenz", "--terms", "99"], "terms"),
        (["lorenz", "--plan-only"], "unknown option '--plan-only'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(words, message, tmp_path, capsys):
    assert main(["fit", *words, "--out", str(tmp_path / "out")]) == Exit.USAGE
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "out").exists()


def test_equations_that_fail_a_check_are_delivered_with_an_exit_code_of_their_own(tmp_path, monkeypatch, capsys):
    law = LAWS["lotka-volterra"]

    def failing(settings):
        found = law.run(settings)
        bad = Certificate(found.certificate.equations, (Check("made up", 1.0, 0.5, "nothing"),), ())
        return type(found)(found.equations, bad, found.summary, found.facts, found.pictures)

    monkeypatch.setitem(LAWS, "lotka-volterra", type(law)(law.name, law.summary, law.settings, failing))
    assert main([*SHORT, "--out", str(tmp_path / "out")]) == Exit.CHECK
    assert "do not pass every check" in capsys.readouterr().err
    assert (tmp_path / "out" / "equations.json").exists()


def test_the_help_names_every_recipe(capsys):
    assert main(["fit", "--help"]) == Exit.DONE
    out = capsys.readouterr().out
    assert all(name in out for name in LAWS)


def test_the_help_says_which_options_belong_to_which_recipes(capsys):
    assert main(["fit", "--help"]) == Exit.DONE
    out = capsys.readouterr().out
    assert "  burgers, kuramoto-sivashinsky:\n      --noise --points --samples\n" in out
    assert "--duration N" not in out


@pytest.mark.parametrize("words", [["lorenz", "--help"], ["--help", "lorenz"], ["lorenz", "-h", "--noise", "1"]])
def test_the_help_of_a_recipe_lists_its_own_options_with_their_defaults(words, capsys):
    assert main(["fit", *words]) == Exit.DONE
    out = capsys.readouterr().out
    assert "lorenz: chaos in three equations" in out
    assert "--duration X" in out
    assert "(default: 10.0)" in out
    assert "--terms N" in out
    assert "--data FOLDER" not in out
    assert "--points" not in out


@pytest.mark.parametrize("words", [["fit", "--help"], ["fit", "burgers", "--help"], ["train", "--help"]])
def test_the_help_explains_every_exit_code_that_can_occur(words, capsys):
    assert main(words) == Exit.DONE
    listed = {int(line.split()[0]) for line in capsys.readouterr().out.split("exit codes:\n")[1].splitlines()}
    assert listed == set(Exit) - ({Exit.BUDGET} if words[0] == "fit" else set())


def test_a_missing_data_folder_has_an_exit_code_of_its_own(tmp_path, capsys):
    words = ["fit", "pendulum-reward", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main(words) == Exit.DATA
    err = capsys.readouterr().err
    assert "none does not exist; make it first, or leave it out" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
