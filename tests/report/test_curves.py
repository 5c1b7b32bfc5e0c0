"""Training dynamics as a picture."""

import math
from dataclasses import replace

import pytest

from ellzero.report import curves
from ellzero.training import History

pytest.importorskip("matplotlib")


def test_one_target_is_shown_with_its_goal_loss_error_multiplier_and_undecided_gates(
    tmp_path, make_history, texts_of, overlaps
):
    curves(make_history(30, {"params": 0.05}), tmp_path / "curves.svg")
    texts = texts_of(tmp_path / "curves.svg")
    assert {"params", "4.95 % if cut now, goal 5 %", "training loss", "error if cut now", "multiplier"} <= set(texts)
    assert {"undecided gates", "0.674 %", "Training: 30 epochs, 3,000 steps, 2 min"} <= set(texts)
    assert {"expected over the noise", "if cut now", "target of the epoch", "goal"} <= set(texts)
    assert not overlaps


@pytest.mark.parametrize("num_targets", [2, 3, 4, 5, 8])
def test_several_targets_have_a_panel_each(tmp_path, make_history, texts_of, overlaps, num_targets):
    names = ["params", "macs", "units", *(f"params of 'encoder.layer.{n}.attention.self.*'" for n in range(5))]
    goals = {name: 0.1 + 0.1 * place for place, name in enumerate(names[:num_targets])}
    curves(make_history(30, goals), tmp_path / "curves.svg")
    texts = texts_of(tmp_path / "curves.svg")
    assert sum("goal " in text for text in texts) == num_targets
    assert "colours as above" in texts
    assert not overlaps


def test_a_penalty_has_neither_targets_nor_multipliers(tmp_path, make_history, texts_of, overlaps):
    curves(make_history(20, {"params": 0.1}, is_penalty=True), tmp_path / "curves.svg")
    texts = texts_of(tmp_path / "curves.svg")
    assert {"params", "9.90 % if cut now"} <= set(texts)
    assert not {"multiplier", "goal", "target of the epoch"} & set(texts)
    assert not overlaps


def test_nothing_but_loss_and_gates_can_be_drawn(tmp_path, make_history, texts_of, overlaps):
    curves(make_history(8, {}, error_every=0), tmp_path / "curves.svg")
    assert {"training loss", "undecided gates"} <= set(texts_of(tmp_path / "curves.svg"))
    assert not overlaps


def test_one_epoch_is_enough(tmp_path, make_history, texts_of, overlaps):
    curves(make_history(1, {"params": 0.1, "macs": 0.2}), tmp_path / "curves.svg")
    assert "Training: 1 epoch, 100 steps, 3 s" in texts_of(tmp_path / "curves.svg")
    assert not overlaps


def test_no_error_means_no_panel_for_it(tmp_path, make_history, texts_of):
    curves(make_history(6, {"params": 0.1}, error_every=0), tmp_path / "curves.svg")
    assert "error if cut now" not in texts_of(tmp_path / "curves.svg")


def test_errors_of_some_epochs_are_shown_with_the_last_one_found(tmp_path, make_history, texts_of):
    curves(make_history(8, {"params": 0.1}, error_every=3), tmp_path / "curves.svg")
    assert f"{math.exp(-6 / 4):.3g}" in texts_of(tmp_path / "curves.svg")


def test_a_loss_that_is_not_finite_leaves_a_gap_and_a_word(tmp_path, make_history, texts_of):
    history = make_history(5, {"params": 0.1})
    history.epochs[-1] = replace(history.epochs[-1], loss=math.nan)
    history.stopped = "not finite"
    curves(history, tmp_path / "curves.svg")
    assert "Training: 5 epochs, 500 steps, 15 s (not finite)" in texts_of(tmp_path / "curves.svg")


def test_the_same_history_makes_the_same_bytes(tmp_path, make_history):
    for name in ("one.svg", "two.svg"):
        curves(make_history(12, {"params": 0.1, "macs": 0.2}), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_history_without_epochs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no finished epoch"):
        curves(History({"params": 0.1}), tmp_path / "curves.svg")
