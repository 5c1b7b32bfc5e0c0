import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from ellzero.dictionary import Dynamics, Equations, FieldDynamics, custom, identity, polynomial, trigonometric, verify
from ellzero.errors import NonFiniteError


def three(degree):
    return polynomial("x y z", degree)


@pytest.mark.parametrize(("degree", "noise"), [(3, 0.0), (3, 0.05), (5, 0.05), (3, 0.2)])
def test_lorenz_is_found_exactly_without_being_told_the_number_of_terms(lorenz, support, lorenz_support, degree, noise):
    states, time = lorenz(seed=3, noise=noise)
    model = Dynamics(dictionary=three(degree)).fit(states, time)
    assert support(model) == lorenz_support
    assert model.complexity == 7


def test_the_likelihood_is_more_accurate_than_the_weak_form_alone(lorenz):
    errors = {True: [], False: []}
    truth = {"x": (-10, 28, 0), "y": (10, -1, 0), "x z": (0, -1, 0), "x y": (0, 0, 1), "z": (0, 0, -8 / 3)}
    library = three(2)
    expected = np.array([[truth.get(name, (0, 0, 0))[row] for name in library.names] for row in range(3)])
    for seed in range(3):
        states, time = lorenz(seed=seed, noise=0.05)
        for refine, found in errors.items():
            model = Dynamics(dictionary=library, refine=refine).fit(states, time)
            found.append(np.abs(model.coefficients() - expected).max())
    assert np.median(errors[True]) < 0.5 * np.median(errors[False])


def test_standard_errors_cover_the_truth_and_the_noise_is_found(lorenz):
    states, time = lorenz(seed=1, noise=0.05)
    clean, _ = lorenz(seed=1)
    model = Dynamics(dictionary=three(2)).fit(states, time)
    place = model.dictionary.names.index("z")
    assert abs(model.coefficients()[2, place] + 8 / 3) < 4 * model.standard_errors()[2, place]
    assert model.standard_errors()[2, place] < 0.02
    assert model.result.noise.numpy() == pytest.approx(0.05 * clean.std(0), rel=0.1)


@pytest.mark.parametrize("differentiation", ["weak", "finite", "smoothed"])
@pytest.mark.parametrize("refine", [True, False])
def test_every_way_to_the_first_regression_finds_an_oscillator(oscillator, support, differentiation, refine):
    time = np.arange(0, 12, 0.04)
    model = Dynamics(differentiation=differentiation, refine=refine, feature_names=["x", "v"], terms=2)
    model.fit(oscillator(time), time)
    assert support(model) == {("x'", "v"), ("v'", "x")}
    assert model.coefficients()[1].min() == pytest.approx(-4, rel=1e-3)


def test_the_spectral_derivative_finds_a_periodic_oscillator(oscillator, support):
    time = np.arange(200) * 2 * np.pi / 200
    model = Dynamics(differentiation="spectral", refine=False, feature_names=["x", "v"]).fit(oscillator(time), time)
    assert support(model) == {("x'", "v"), ("v'", "x")}


def test_measured_derivatives_are_used_as_they_are(support):
    x = np.random.default_rng(0).normal(size=(50, 2))
    x_dot = np.stack([x[:, 1], -3 * x[:, 0] * x[:, 1]], 1)
    model = Dynamics(feature_names=["x", "y"]).fit(x, x_dot=x_dot)
    assert support(model) == {("x'", "y"), ("y'", "x y")}


def test_a_noisy_map_is_found(henon, support):
    states = henon(400)
    noisy = states + 0.005 * np.random.default_rng(0).normal(size=states.shape)
    model = Dynamics(dictionary=polynomial("x y", 3), discrete=True).fit(noisy)
    assert support(model) == {("x(k + 1)", "1"), ("x(k + 1)", "x^2"), ("x(k + 1)", "y"), ("y(k + 1)", "x")}
    assert model.simulate([0.1, 0.2], 5) == pytest.approx(henon(5), abs=0.05)


def test_a_map_without_noise_is_found_to_high_accuracy(henon):
    model = Dynamics(discrete=True, feature_names=["x", "y"]).fit(henon(300))
    assert sorted(model.coefficients()[model.coefficients() != 0]) == pytest.approx([-1.4, 0.3, 1, 1], rel=1e-6)


def test_controls_and_several_trajectories(support):
    time, runs, controls = np.arange(0, 10, 0.02), [], []
    for seed in range(3):
        control = np.sin((1 + 0.3 * seed) * time) + 0.5 * np.cos(2.3 * time + seed)
        x = [np.array([1.0, 0.0])]
        for k in range(len(time) - 1):

            def rates(s, u):
                return np.array([s[1], -2 * s[0] - 0.5 * s[1] + 3 * u])

            h, (a, b) = 0.02, control[k : k + 2]
            k1 = rates(x[-1], a)
            k2 = rates(x[-1] + h / 2 * k1, (a + b) / 2)
            k3 = rates(x[-1] + h / 2 * k2, (a + b) / 2)
            k4 = rates(x[-1] + h * k3, b)
            x.append(x[-1] + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
        runs.append(np.array(x) + 0.01 * np.random.default_rng(seed).normal(size=(len(time), 2)))
        controls.append(control)
    model = Dynamics(feature_names=["x", "v", "u"]).fit(runs, time, u=controls)
    assert support(model) == {("x'", "v"), ("v'", "x"), ("v'", "v"), ("v'", "u")}
    followed = model.simulate(runs[0][0], time, u=controls[0])
    assert followed == pytest.approx(runs[0], abs=0.1)
    with pytest.raises(ValueError, match="the model has 2 states and 1 controls"):
        model.predict(runs[0])
    with pytest.raises(ValueError, match="need 1 controls and parameters"):
        model.simulate(runs[0][0], time)


def test_parameters_become_inputs(support):
    time = np.arange(0, 4, 0.02)
    rates = [0.5, 1.0, 1.5, 2.0]
    runs = [np.exp(-rate * time)[:, None] for rate in rates]
    model = Dynamics(feature_names=["x", "r"]).fit(runs, time, parameters=[[rate] for rate in rates])
    assert support(model) == {("x'", "x r")}
    assert model.simulate([1.0], time, parameters=[0.7])[-1, 0] == pytest.approx(np.exp(-0.7 * time[-1]), rel=1e-4)


def test_terms_beyond_polynomials(support):
    time = np.arange(0, 20, 0.05)

    def rates(s):
        return np.array([s[1], -4 * np.sin(s[0])])

    x = [np.array([2.0, 0.0])]
    for _ in time[1:]:
        h, s = 0.05 / 20, x[-1]
        for _ in range(20):
            middle = s + h / 2 * rates(s)
            s = s + h * rates(middle)
        x.append(s)
    candidates = polynomial("x v", 2) + trigonometric("x v", of=["x"])
    model = Dynamics(dictionary=candidates, resolution=1e-4).fit(np.array(x), time)
    assert support(model) == {("x'", "v"), ("v'", "sin(x)")}


def test_a_budget_in_total_and_one_for_each_equation_are_kept(lorenz, support, lorenz_support):
    states, time = lorenz(noise=0.01)
    assert support(Dynamics(7, three(3)).fit(states, time)) == lorenz_support
    assert support(Dynamics((2, 3, 2), three(3)).fit(states, time)) == lorenz_support
    with pytest.warns(UserWarning, match="do not explain the trajectories up to white noise"):
        assert Dynamics(4, three(2)).fit(states, time).complexity == 4


def test_irregular_stamps_are_supported(lorenz, support, lorenz_support):
    states, time = lorenz(noise=0.02, samples=2001, step=0.005)
    kept = np.sort(np.random.default_rng(0).choice(2001, 1200, replace=False))
    assert support(Dynamics(dictionary=three(3)).fit(states[kept], time[kept])) == lorenz_support


def test_predictions_scores_and_simulations_agree_with_the_equations(lorenz):
    states, time = lorenz(noise=0.01)
    model = Dynamics(dictionary=three(2)).fit(states, time)
    assert model.score(states, time) > 0.95
    table = model.equations().dictionary(torch.from_numpy(states)).numpy()
    assert model.predict(states) == pytest.approx(table @ model.coefficients().T)
    many = model.simulate(states[:3], time[:50])
    one = model.simulate(states[1], time[:50])
    assert many.shape == (3, 50, 3)
    assert many[1] == pytest.approx(one, abs=1e-4)


def test_the_equations_pass_their_certificate(lorenz):
    states, time = lorenz(noise=0.01)
    model = Dynamics(dictionary=three(2)).fit(states, time)
    assert isinstance(model.equations(), Equations)
    assert verify(model.equations(), points=states[::50]).passed


def test_inclusion_probabilities_are_high_for_true_terms_only(lorenz):
    states, time = lorenz(noise=0.01)
    model = Dynamics(dictionary=three(2)).fit(states, time)
    probability = model.inclusion_probabilities(20)
    assert probability[model.coefficients() != 0].min() > 0.8
    assert probability[model.coefficients() == 0].max() < 0.2
    assert np.array_equal(probability, model.inclusion_probabilities(20))
    assert probability.sum(1) == pytest.approx([2, 3, 2])


def test_a_dictionary_that_lacks_a_term_leaves_an_error_of_the_model(lorenz):
    states, time = lorenz(noise=0.01)
    library = three(2).without(["x z"])
    with pytest.warns(UserWarning, match="may lack a term") as caught:
        model = Dynamics(dictionary=library).fit(states, time)
    assert model.result.doubts == (str(caught[0].message),)
    assert model.result.estimate is not None
    assert model.result.estimate.noise.model.max() > 0
    full = Dynamics(dictionary=three(2)).fit(states, time)
    assert full.result.estimate.noise.model.max() == 0
    assert full.result.doubts == ()


@pytest.mark.parametrize("offset", [30.0, 1000.0])
def test_states_far_from_zero_have_their_own_sparse_equations(lorenz, offset):
    states, time = lorenz(seed=0)
    model = Dynamics(dictionary=three(3)).fit(states + offset, time)
    assert (model.coefficients() != 0).sum(1).tolist() == [2, 5, 5]
    assert model.coefficients()[1, model.dictionary.names.index("1")] == pytest.approx(
        -offset * (27 + offset), rel=1e-4
    )


@pytest.mark.parametrize("tolerance", [1e-9, 1e-6])
def test_errors_of_an_integrator_are_not_explained_by_further_terms(support, lorenz_support, tolerance):
    time = np.arange(0, 10, 0.01)

    def rates(t, x):
        return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]

    states = solve_ivp(rates, (0, 10), [-8, 7, 27], t_eval=time, rtol=tolerance).y.T
    assert support(Dynamics(dictionary=three(3)).fit(states, time)) == lorenz_support


def test_terms_that_are_the_same_on_the_data_are_named():
    time = np.arange(0, 5, 0.02)
    states = np.stack([np.exp(-time), np.full_like(time, 2.0)], 1)
    with pytest.warns(UserWarning, match="'x y' would do as well as what was chosen"):
        Dynamics(feature_names=["x", "y"]).fit(states, time)


def test_names_are_written_as_in_pysindy(lorenz):
    states, time = lorenz()
    model = Dynamics(feature_names=["x", "y", "z"]).fit(states, time)
    assert model.get_feature_names()[:6] == ["1", "x", "y", "z", "x^2", "x y"]


def test_names_may_stand_in_one_string():
    assert Dynamics(feature_names="x y z").feature_names == ("x", "y", "z")


def test_a_term_that_overflows_is_named(lorenz):
    states, time = lorenz(samples=100)
    library = three(1) + custom("x y z", {"burst": lambda x: torch.exp(1000 * x.abs())})
    with pytest.raises(NonFiniteError, match="burst"):
        Dynamics(dictionary=library).fit(states, time)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"differentiation": "week"}, "did you mean 'weak'"),
        ({"resolution": 0.0}, "between 0 and 1"),
        ({"terms": -1}, "a whole number, 0 or more, got -1"),
        ({"terms": (2, -1, 2)}, "a whole number, 0 or more, got -1"),
        ({"terms": 100}, "larger than the dictionary, which has 10 terms for each of 3 equations"),
        ({"terms": (1, 2)}, "2 entries for 3 equations"),
        ({"criterion": "ebik"}, "did you mean 'ebic'"),
        ({"order": 0}, "order must be 1 or more"),
        ({"feature_names": ["x", "y"]}, "3 states and 0 controls, but 2 feature names"),
        ({"feature_names": "xyz"}, "3 states and 0 controls, but 1 feature names"),
        ({"feature_names": ["x", "y", "x"]}, "two of the feature names are 'x'"),
        ({"dictionary": identity("x y")}, "the dictionary has 2 inputs"),
        ({"dictionary": identity("a b c"), "feature_names": ["x", "y", "z"]}, "but the feature names are"),
    ],
)
def test_what_cannot_be_fitted_is_refused_and_explained(lorenz, options, message):
    states, time = lorenz(samples=100)
    with pytest.raises(ValueError, match=message):
        Dynamics(**options).fit(states, time)


@pytest.mark.parametrize("terms", [0, (0, 0, 0)])
def test_a_budget_of_no_terms_holds_the_states(lorenz, terms):
    states, time = lorenz(samples=200)
    with pytest.warns(UserWarning, match="no term was found"), pytest.warns(UserWarning, match="do not explain"):
        model = Dynamics(terms).fit(states, time)
    assert model.complexity == 0


@pytest.mark.parametrize("option", ["discrete", "refine"])
@pytest.mark.parametrize("value", ["no", 1, None])
def test_a_flag_is_true_or_false(option, value):
    with pytest.raises(TypeError, match=f"{option} must be True or False, got {value!r}"):
        Dynamics(**{option: value})
    assert Dynamics(**{option: np.bool_(True)}).settings.is_map == (option == "discrete")


def test_a_trajectory_too_short_for_the_dictionary_is_refused(lorenz):
    states, time = lorenz(samples=30)
    with pytest.raises(ValueError, match="windows for 56 candidate terms"):
        Dynamics(dictionary=three(5)).fit(states, time)
    with pytest.raises(ValueError, match="30 samples for 56 candidate terms"):
        Dynamics(dictionary=three(5), differentiation="finite").fit(states, time)


@pytest.mark.parametrize("terms", [2.5, "7"])
def test_a_number_of_terms_that_is_no_number_is_refused(terms):
    with pytest.raises(TypeError, match="terms must be a number"):
        Dynamics(terms)


def test_a_state_that_stands_still_has_an_equation_without_terms(oscillator, support):
    time = np.arange(0, 10, 0.05)
    states = np.concatenate([oscillator(time), np.full((len(time), 1), 3.0)], 1)
    model = Dynamics(dictionary=identity("x v c")).fit(states, time)
    assert support(model) == {("x'", "v"), ("v'", "x")}


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_of_states_and_time_do_not_matter(oscillator, support, scale):
    time = np.arange(0, 10, 0.05)
    states = oscillator(time) * [scale, 1] + 1e-3 * np.random.default_rng(0).normal(size=(200, 2)) * [scale, 1]
    model = Dynamics(feature_names=["x", "v"]).fit(states, time * scale)
    assert support(model) == {("x'", "v"), ("v'", "x")}


def test_noise_alone_has_no_equations():
    with pytest.warns(UserWarning, match="no term was found: all motion was taken for noise"):
        model = Dynamics().fit(np.random.default_rng(0).normal(size=(300, 2)), 0.1)
    assert model.complexity == 0


def test_a_model_without_equations_says_so():
    with pytest.raises(ValueError, match="call fit"):
        Dynamics().print()


def test_a_function_that_makes_no_dictionary_is_refused(lorenz):
    states, time = lorenz(samples=100)
    with pytest.raises(TypeError, match="must return a Dictionary"):
        Dynamics(dictionary=lambda names: names).fit(states, time)


@pytest.mark.parametrize("terms", [np.int64(2), [1, 1], np.array([1, 1]), (np.int32(1), 1)])
def test_budgets_may_be_numbers_and_arrays_of_numpy(oscillator, terms):
    stamps = np.arange(0, 6, 0.05)
    model = Dynamics(terms, feature_names=["x", "v"], refine=False).fit(oscillator(stamps), t=stamps)
    assert model.complexity == 2


@pytest.mark.parametrize("terms", [True, 2.0, [1.0, 2.0], np.array([1.5, 1]), "7", [], {1, 2}])
def test_budgets_that_are_no_whole_numbers_are_refused_at_once(terms):
    with pytest.raises(TypeError, match="terms must be a number"):
        Dynamics(terms)


@pytest.mark.parametrize("kind", [Dynamics, FieldDynamics])
def test_a_criterion_that_is_not_known_is_refused_at_once(kind):
    with pytest.raises(ValueError, match=r"the criterion 'bicc' is not known; did you mean 'bic'\?"):
        kind(criterion="bicc")


def test_irregular_stamps_are_taken_by_the_weak_form_and_refused_by_the_spectral_one(oscillator):
    stamps = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.06, 200))
    with pytest.raises(ValueError, match='supported by "weak", "finite" and "smoothed"'):
        Dynamics(differentiation="spectral").fit(oscillator(stamps), t=stamps)
    model = Dynamics(2, feature_names=["x", "v"]).fit(oscillator(stamps), t=stamps)
    assert model.equations().text(2) == "x' = v\nv' = -4 x"


def test_an_outlier_is_named(oscillator):
    time = np.arange(200) * 0.04
    states = oscillator(time) + 0.01 * np.random.default_rng(0).normal(size=(200, 2))
    states[50, 1] += 5
    with pytest.warns(UserWarning, match="sample 50 of state 1 is 1. standard deviations of the noise away"):
        Dynamics().fit(states, time)


def test_nothing_is_interpolated_across_a_gap_in_the_samples(oscillator):
    time = np.concatenate([np.arange(0, 3, 0.04), np.arange(6, 9, 0.04)])
    states = oscillator(time) + 0.01 * np.random.default_rng(0).normal(size=(len(time), 2))
    model = Dynamics(feature_names=["x", "v"]).fit(states, time)
    assert [np.flatnonzero(row).tolist() for row in model.coefficients()] == [[2], [1]]


@pytest.mark.filterwarnings("ignore:sample .* is 6 standard deviations")
@pytest.mark.parametrize("step", [0.02, 0.04])
def test_terms_for_the_errors_of_a_coarse_integration_are_doubted(step):
    def rate(state):
        x, y, z = state
        return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    states = [np.array([1.0, 2.0, 20.0])]
    for _ in range(500):
        a = rate(states[-1])
        b = rate(states[-1] + step / 2 * a)
        c = rate(states[-1] + step / 2 * b)
        states.append(states[-1] + step / 6 * (a + 2 * b + 2 * c + rate(states[-1] + step * c)))
    with pytest.warns(UserWarning, match="explain less than 0.5 % of a rate.* raise resolution="):
        model = Dynamics(dictionary=three(3)).fit(np.array(states[100:]), step)
    assert model.complexity > 7
