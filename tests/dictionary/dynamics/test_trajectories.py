import numpy as np
import pytest
import torch

from ellzero.dictionary.dynamics.differences import is_regular
from ellzero.dictionary.dynamics.trajectories import read_times, read_trajectories, split, split_at_gaps
from ellzero.errors import NonFiniteError


def test_a_step_becomes_time_stamps():
    (run,) = read_trajectories(np.zeros((3, 2)), 0.5)
    assert run.time.tolist() == [0.0, 0.5, 1.0]


def test_lists_of_trajectories_keep_their_own_lengths_and_stamps():
    runs = read_trajectories([np.zeros((3, 2)), np.ones((4, 2))], [np.array([0.0, 1, 3]), np.arange(4.0)])
    assert [len(run.time) for run in runs] == [3, 4]
    assert [is_regular(run.time) for run in runs] == [False, True]


def test_one_column_may_be_given_as_a_vector():
    (run,) = read_trajectories(np.arange(4.0), 1.0)
    assert run.states.shape == (4, 1)


def test_parameters_are_repeated_after_the_controls():
    states, controls = [np.zeros((3, 1)), np.zeros((2, 1))], [np.ones(3), np.ones(2)]
    runs = read_trajectories(states, 1.0, u=controls, parameters=[[5.0], [7.0]])
    assert [run.controls.tolist()[0] for run in runs] == [[1.0, 5.0], [1.0, 7.0]]


def test_splitting_loses_no_sample():
    (run,) = read_trajectories(np.arange(11.0), 1.0)
    pieces = split(run, 4)
    assert max(len(piece.time) for piece in pieces) <= 4
    assert torch.equal(torch.cat([piece.states for piece in pieces]), run.states)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_place(value):
    states = np.zeros((5, 2))
    states[3, 1] = value
    with pytest.raises(NonFiniteError, match=r"trajectory 0 holds .* in row 3, column 1"):
        read_trajectories(states, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros((3, 1))}, "a continuous system needs times"),
        ({"x": np.zeros((3, 1)), "t": np.array([0.0, 2.0, 1.0])}, "must increase, but stamp 2"),
        ({"x": np.zeros((3, 1)), "t": np.array([0.0, 1.0, 1.0])}, "remove repeated ones"),
        ({"x": np.zeros((3, 1)), "t": np.arange(4.0)}, "has 3 samples but t has shape"),
        ({"x": np.zeros((3, 1)), "t": -1.0}, "must be positive"),
        ({"x": np.zeros((3, 1, 1)), "t": 1.0}, "must have shape"),
        ({"x": [np.zeros((3, 1)), np.zeros((3, 2))], "t": 1.0}, "need the same states"),
        ({"x": np.zeros((3, 1)), "t": 1.0, "u": np.zeros(4)}, "u of trajectory 0 has shape"),
        ({"x": np.zeros((3, 1)), "t": 1.0, "x_dot": np.zeros((3, 2))}, "x_dot of trajectory 0 has shape"),
        ({"x": [np.zeros((3, 1))] * 2, "t": 1.0, "u": [np.zeros(3)]}, "2 trajectories but 1 entries in u"),
        ({"x": [np.zeros((3, 1))] * 2, "t": 1.0, "parameters": [[1.0]]}, "one row per trajectory"),
    ],
)
def test_what_does_not_fit_is_refused_and_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        read_trajectories(**arguments)


def test_a_parameter_that_is_not_finite_is_refused():
    with pytest.raises(NonFiniteError, match="a parameter is NaN"):
        read_trajectories(np.zeros((3, 1)), 1.0, parameters=[np.nan])


def test_time_stamps_that_run_backwards_are_refused_and_views_are_taken():
    with pytest.raises(ValueError, match="must increase"):
        read_times(np.arange(5.0)[::-1], 5)
    assert read_times(np.arange(5.0)[::-1][::-1], 5).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("x", "t", "kind", "message"),
    [
        (np.exp(1j * np.arange(30.0)), 0.1, TypeError, "must hold real numbers"),
        ([["a", "b"]] * 30, 0.1, TypeError, "must hold real numbers"),
        (np.zeros((2, 30, 2)), 0.1, ValueError, "give several trajectories as a list"),
        (np.zeros((3, 2)), [0.0, 1.0, np.inf], NonFiniteError, "hold infinity"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(x, t, kind, message):
    with pytest.raises(kind, match=message):
        read_trajectories(x, t)


@pytest.mark.parametrize(
    ("stamps", "lengths"),
    [
        (np.r_[np.arange(30.0), 100 + np.arange(40.0)], [30, 40]),
        (np.r_[np.arange(30.0), 100 + np.arange(10.0)], [40]),  # too few samples after the gap
        (np.r_[np.arange(30.0), 40 + np.arange(30.0)], [60]),  # no gap yet
        (np.logspace(-5, 4, 300), [300]),
        (np.sort(np.random.default_rng(0).uniform(0, 1, 300)), [300]),
    ],
)
def test_runs_are_cut_where_nothing_was_measured_for_long(stamps, lengths):
    (run,) = read_trajectories(np.zeros((len(stamps), 1)), stamps)
    pieces = split_at_gaps(run)
    assert [len(piece.time) for piece in pieces] == lengths
    assert np.concatenate([piece.time for piece in pieces]).tolist() == stamps.tolist()
