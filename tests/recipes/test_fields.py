"""Partial differential equations: small movies give their equation back."""

import pytest
import torch

from ellzero.errors import NonFiniteError
from ellzero.recipes import burgers, kuramoto_sivashinsky
from ellzero.recipes.field import FieldSettings, _motion, find_field_equation

CASES = [
    (burgers, burgers.BurgersSettings(points=128, samples=61), {"u_xx": 0.1, "u u_x": -1.0}),
    (
        kuramoto_sivashinsky, kuramoto_sivashinsky.KuramotoSivashinskySettings(points=96, samples=121),
        {"u_xx": -1.0, "u_xxxx": -1.0, "u u_x": -1.0},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("module", "settings", "law"), CASES, ids=["burgers", "kuramoto-sivashinsky"])
def test_a_noisy_movie_gives_the_equation_back_verified_and_drawn(module, settings, law, tmp_path):
    pytest.importorskip("matplotlib")
    assert dict(zip(module.FIELD.law.dictionary.names, module.FIELD.law.coefficients[0], strict=True)) == law
    found = module.run(settings)
    assert (found.facts["missing"], found.facts["superfluous"]) == (0, 0)
    assert found.facts["coefficient_error"] < 0.02
    assert found.certificate.passed
    for picture, draw in found.pictures.items():
        draw(tmp_path / picture)
    assert {path.name for path in tmp_path.iterdir()} == {"support.svg", "path.svg", "trajectories.svg"}


def test_the_beginnings_are_periodic_and_differ():
    for module, _, _ in CASES:
        field = module.FIELD
        ends = torch.tensor([0.0, field.length], dtype=torch.float64)
        for start in (field.start, field.unseen):
            values = start(ends)
            assert abs(values[0] - values[1]) < 1e-4
        places = torch.linspace(0, field.length, 20, dtype=torch.float64)
        assert (field.start(places) - field.unseen(places)).abs().max() > 0.1


def test_an_equation_that_runs_away_is_drawn_with_the_truth_alone(tmp_path):
    pytest.importorskip("matplotlib")

    class Unstable:
        def simulate(self, start, times):
            raise NonFiniteError("the field leaves the finite numbers")

    field = burgers.FIELD
    places = torch.arange(32, dtype=torch.float64) * field.length / 32
    draw = _motion(field, Unstable(), field.start(places), torch.linspace(0, 1, 20, dtype=torch.float64))
    draw(tmp_path / "motion.svg")
    assert (tmp_path / "motion.svg").exists()


def test_a_budget_larger_than_the_dictionary_is_refused():
    with pytest.raises(ValueError, match="terms"):
        find_field_equation(burgers.FIELD, FieldSettings(terms=99, points=64, samples=41))


@pytest.mark.parametrize("change", [{"noise": -1.0}, {"points": 0}, {"samples": -3}])
def test_wrong_settings_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        FieldSettings(**change).check()
