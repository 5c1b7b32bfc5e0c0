"""The pendulum's recipes on a few episodes: budgets are kept, the true law of the velocity is found, all is drawn."""

import numpy as np
import pytest

from ellzero.recipes import pendulum_reward, pendulum_transition
from ellzero.recipes.pendulum import PendulumSettings

TINY = {"episodes": 4, "steps": 30}


@pytest.fixture(autouse=True)
def _kept(tmp_path_factory, monkeypatch):
    pytest.importorskip("gymnasium")
    folder = tmp_path_factory.getbasetemp() / "interaction"
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("ELLZERO_DATA", str(folder))


def test_the_transition_has_the_true_law_of_the_velocity(tmp_path):
    pytest.importorskip("matplotlib")
    found = pendulum_transition.run(pendulum_transition.TransitionSettings(**TINY, degree=2, terms=9))
    assert found.equations.num_terms <= 9
    assert found.certificate.passed
    assert found.equations.text(3).splitlines()[2] == "w' = clip(0.736 s + w + 0.15 u, -8, 8)"
    assert found.facts["largest difference of w' from the true law"] < 1e-4
    models = found.facts["models"]
    assert models["exact stage"]["validation"] <= models["gates, refitted"]["validation"]
    assert models["exact stage"]["test"] < 1e-3
    for picture, draw in found.pictures.items():
        draw(tmp_path / picture)
    assert {path.name for path in tmp_path.iterdir()} == {"pareto.svg", "support.svg", "path.svg", "trajectories.svg"}


def test_the_reward_has_the_true_price_of_the_velocity(tmp_path):
    pytest.importorskip("matplotlib")
    found = pendulum_reward.run(pendulum_reward.RewardSettings(**TINY, degree=6, terms=5))
    assert found.equations.num_terms <= 5
    assert found.facts["coefficient of w^2"] == pytest.approx(-0.1, abs=0.01)
    for picture, draw in found.pictures.items():
        draw(tmp_path / picture)
    assert {path.name for path in tmp_path.iterdir()} == {"pareto.svg", "support.svg", "path.svg"}


def test_the_true_law_is_that_of_the_environment():
    states = np.array([[0.6, 0.8, 7.9, 2.0], [1.0, 0.0, -1.0, 1.0]])
    assert np.allclose(pendulum_transition.LAW.numpy()(states)[:, 0], [8.0, -0.85])


def test_candidates_of_the_reward_are_powers_of_the_cosine_and_all_monomials_of_degree_two():
    names = pendulum_reward.candidates(4).names
    assert {"c^4", "c^3", "w^2", "u^2", "s w", "1"} <= set(names)
    assert "s^3" not in names
    assert len(names) == 17


@pytest.mark.parametrize(("terms", "message"), [(2, "too small for 3 targets"), (99, "there are 45 candidates")])
def test_budgets_that_mean_nothing_are_refused(terms, message):
    with pytest.raises(ValueError, match=message):
        pendulum_transition.run(pendulum_transition.TransitionSettings(**TINY, degree=2, terms=terms))


@pytest.mark.parametrize("change", [{"episodes": 0}, {"steps": 0}, {"lr": -1.0}, {"gate_lr": float("inf")}])
def test_wrong_settings_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        PendulumSettings(**change).check()
