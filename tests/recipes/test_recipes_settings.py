"""Settings: plain data in and out, the right types, and one table of recipes."""

import pytest
import torch
from torch import nn

from ellzero.budgets import Budget
from ellzero.gates import Gated
from ellzero.recipes.digits import DigitsSettings
from ellzero.recipes.functions import find_function
from ellzero.recipes.own import PruneSettings
from ellzero.recipes.settings import Settings
from ellzero.recipes.table import PRUNE, RECIPES, find_recipe
from ellzero.recipes.typed import accepted, settings_from, settings_to_dict, type_of

MODEL = {"model": "mine:build", "data": "mine:loaders", "budget": {"params": 0.1}}


@pytest.mark.parametrize("recipe", [*RECIPES.values(), PRUNE], ids=lambda recipe: recipe.name)
def test_plain_data_make_the_settings_again(recipe):
    given = MODEL if recipe is PRUNE else {"epochs": 3, "budget": {"params": {"fc*": 0.1}}}
    settings = settings_from(recipe.settings, given)
    assert settings_from(recipe.settings, settings_to_dict(settings)) == settings


@pytest.mark.parametrize("recipe", [*RECIPES.values(), PRUNE], ids=lambda recipe: recipe.name)
def test_every_setting_has_a_type_that_a_command_line_can_read(recipe):
    kinds = {type_of(recipe.settings, name).__name__ for name in accepted(recipe.settings)}
    assert kinds <= {"int", "float", "bool", "str", "tuple", "Mapping"}


@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-lenet5", "digits"])
def test_recipes_are_found_by_name(name):
    assert find_recipe(name).name == name
    settings_from(find_recipe(name).settings, {}).check()


def test_an_unknown_recipe_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="unknown recipe 'mnist-mpl'; did you mean 'mnist-mlp'"):
        find_recipe("mnist-mpl")


def test_whole_numbers_and_yaml_s_texts_are_read_as_floats():
    settings = settings_from(DigitsSettings, {"lr": "1e-3", "gate_lr": 1})
    assert (settings.lr, settings.gate_lr) == (1e-3, 1.0)


def test_the_step_of_the_multipliers_is_handed_to_the_budget():
    settings = settings_from(DigitsSettings, {"dual_lr": "0.05", "budget": {"params": 0.5}})
    sizer = settings.sizer(Gated(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.zeros(1, 4)), 10)
    assert isinstance(sizer, Budget)
    assert sizer.dual_lr == 0.05


def test_a_penalty_takes_the_place_of_a_default_budget_but_not_of_one_that_is_given():
    assert settings_from(DigitsSettings, {"penalty": {"params": 1e-6}}).budget == {}
    with pytest.raises(ValueError, match="both a budget and a penalty"):
        settings_from(DigitsSettings, {"penalty": {"params": 1e-6}, "budget": {"params": 0.1}})


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"epochs": 1.0}, "epochs must be a whole number"),
        ({"lr": None}, "lr must be a number"),
        ({"lr": True}, "lr must be a number"),
        ({"keep": 3}, "keep must be a list of texts"),
        ({"inputs": 1}, "inputs must be true or false"),
        ({"model": 1}, "model must be a text"),
    ],
)
def test_values_of_the_wrong_type_are_refused(plain, message):
    with pytest.raises(TypeError, match=message):
        settings_from(PruneSettings, {**MODEL, **plain})


def test_one_text_is_a_list_of_one():
    assert settings_from(PruneSettings, {**MODEL, "keep": "head"}).keep == ("head",)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({}, "neither a budget nor a penalty"),
        ({"budget": {"steps": 0.1}}, "unknown cost 'steps'"),
        ({"budget": {"params": 0.1}, "batch_size": 0}, "batch_size must be at least 1"),
        ({"budget": {"params": 0.1}, "gate_lr": float("inf")}, "gate_lr must be positive and finite"),
        ({"budget": {"params": 0.1}, "dual_lr": 0.0}, "dual_lr must be positive and finite"),
        ({"budget": {"params": 0.1}, "seed": 2**32}, "seed must be a whole number"),
    ],
)
def test_values_out_of_range_are_refused(plain, message):
    with pytest.raises(ValueError, match=message):
        Settings(**plain).check()


def test_a_setting_that_means_nothing_is_refused():
    with pytest.raises(ValueError, match="'batch_size' means nothing here"):
        settings_from(PruneSettings, {**MODEL, "batch_size": 3})


def test_a_function_is_found_in_a_package_and_an_unknown_one_is_refused_with_the_nearest():
    assert find_function("os.path:join")("a", "b").startswith("a")
    with pytest.raises(ValueError, match="has no function 'joint'; did you mean 'join'"):
        find_function("os.path:joint")
