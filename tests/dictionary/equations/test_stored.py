"""Equations in files: everything comes back, and every kind of damage has an error of its own."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.artifacts.errors import (
    ArtifactDamagedError,
    ArtifactExistsError,
    ArtifactMismatchError,
    ArtifactMissingError,
    ArtifactUnsavedError,
    ArtifactVersionError,
)
from ellzero.dictionary import Equations, Output, SparseDictionary, custom, fourier, polynomial, rational
from ellzero.dictionary.equations.stored import _digest
from ellzero.errors import SurgeryError


def some():
    dictionary = polynomial("x y", 2, units={"x": "m"}) + fourier("x y", 2, period=3.0) + rational("x y", 1)
    coefficients = np.random.default_rng(0).normal(size=(2, len(dictionary)))
    return Equations(("x'", "y'"), dictionary, coefficients, (Output("clip", 1 / 3, low=-2.0), Output()))


def changed(path, change, *, sign=True):
    """Change what is stored, with a fresh checksum so that only the change itself is wrong."""
    data = json.loads(path.read_text())
    change(data)
    if sign:
        data["sha256"] = _digest(data["equations"])
    path.write_text(json.dumps(data) + "\n")


@pytest.fixture
def path(tmp_path):
    some().save(tmp_path / "law.json")
    return tmp_path / "law.json"


def test_everything_comes_back(path):
    again = Equations.load(path)
    assert again.dictionary.terms == some().dictionary.terms
    assert again.dictionary.units == some().dictionary.units
    assert (again.targets, again.outputs) == (some().targets, some().outputs)
    np.testing.assert_array_equal(again.coefficients, some().coefficients)


def test_functions_of_your_own_are_given_again(tmp_path):
    equations = Equations(("d",), custom("x y", {"gap": lambda a, b: a - b}), [[2.0]])
    equations.save(tmp_path / "law.json")
    with pytest.raises(ArtifactMismatchError, match="needs the function 'gap'"):
        Equations.load(tmp_path / "law.json")
    again = Equations.load(tmp_path / "law.json", functions={"gap": torch.sub})
    assert again.numpy()([3.0, 1.0]).tolist() == [4.0]


def test_a_file_that_is_there_is_kept(path):
    with pytest.raises(ArtifactExistsError, match="overwrite=True"):
        some().save(path)
    some().rounded(2).save(path, overwrite=True)
    assert Equations.load(path).text(None) == some().rounded(2).text(None)


def test_a_folder_that_cannot_be_written_is_said(path):
    with pytest.raises(ArtifactUnsavedError, match="could not be written"):
        some().save(path / "below")


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ArtifactMissingError, match="cannot be read"):
        Equations.load(tmp_path / "none.json")


def test_a_file_that_is_cut_short_is_said(path):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactDamagedError, match="cut short"):
        Equations.load(path)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_changed_byte_is_noticed(path, place):
    content = bytearray(path.read_bytes())
    number = next(i for i in range(int(place * len(content)), len(content)) if chr(content[i]).isdigit())
    content[number] = ord("1") if content[number] != ord("1") else ord("2")
    path.write_bytes(content)
    with pytest.raises((ArtifactDamagedError, ArtifactVersionError)):
        Equations.load(path)


@pytest.mark.parametrize("content", ["[1]", "[1]\n", "3", '"text"', "x = 1\n"])
def test_a_file_of_something_else_is_not_called_cut_short(path, content):
    path.write_text(content)
    with pytest.raises(ArtifactDamagedError, match=r"does not hold a JSON object; give a file that ellzero wrote"):
        Equations.load(path)


@pytest.mark.parametrize("content", ["", "\n", '{"format": '])
def test_a_file_without_its_end_is_called_cut_short(path, content):
    path.write_text(content)
    with pytest.raises(ArtifactDamagedError, match="cut short"):
        Equations.load(path)


def test_another_file_is_no_equations(path):
    path.write_text('{"plan": 1}\n')
    with pytest.raises(ArtifactDamagedError, match="holds no equations"):
        Equations.load(path)


def test_a_later_version_is_refused(path):
    changed(path, lambda data: data.update(version=2))
    with pytest.raises(ArtifactVersionError, match="has the format 2, expected 1"):
        Equations.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e.pop("targets"), "targets is missing"),
        (lambda e: e.update(more=1), "more is not known"),
        (lambda e: e.update(coefficients="0"), "expected a list"),
        (lambda e: e["coefficients"][0].pop(), "sound equations"),
        (lambda e: e["coefficients"].pop(), "shape"),
        (lambda e: e["inputs"].append("x"), "sound equations"),
        (lambda e: e["terms"].append(e["terms"][0]), "given twice"),
        (lambda e: e["targets"].__setitem__(0, 'x"""\nimport os'), "cannot be printed"),
        (lambda e: e["inputs"].__setitem__(0, "__import__('os')"), "made of letters"),
        (lambda e: e["outputs"][0].update(low=3.0, high=1.0), "low < high"),
        (lambda e: e["terms"][1][0].update(power=0), "but zero"),
        (lambda e: e["terms"][1][0].update(power=10**9), "the power of 'identity' is 1000000000, expected at most 100"),
        (lambda e: e["terms"][-1][-1]["arguments"][0][0].update(powers={"x": 10**9}), "the degree of a monomial is"),
        (lambda e: e["terms"].append([dict(e["terms"][1][0], power=99), dict(e["terms"][2][0], power=99)]), "degree"),
        (lambda e: e.update(units=["__x", ""]), "cannot be read"),
        (lambda e: e["targets"].__setitem__(0, "a*/"), "cannot be printed"),
        (lambda e: e["terms"][1][0].update(arguments=[]), "no argument"),
    ],
)
def test_damage_is_named(path, change, message):
    changed(path, lambda data: change(data["equations"]))
    with pytest.raises(ArtifactDamagedError, match=message):
        Equations.load(path)


def test_numbers_that_json_does_not_know_are_refused(path):
    path.write_text(path.read_text().replace(repr(1 / 3), "NaN"))
    with pytest.raises(ArtifactDamagedError, match="NaN is not a number"):
        Equations.load(path)


def test_a_number_that_no_float_can_hold_is_damage(path):
    changed(path, lambda data: data["equations"]["coefficients"][0].__setitem__(0, 10**400))
    with pytest.raises(ArtifactDamagedError):
        Equations.load(path)


@pytest.mark.parametrize("own", [False, True])
def test_a_model_that_was_not_pruned_is_saved_as_equations(own, tmp_path):
    functions = {"bump": lambda a: torch.exp(-(a**2))} if own else {}
    terms = polynomial("x", 2) + custom("x", functions) if own else polynomial("x", 2)
    model = SparseDictionary(terms, 1)
    nn.init.normal_(model.coefficients)
    with pytest.raises(SurgeryError, match=r"not pruned.*model\.equations\(\)\.save"):
        l0.save(model, tmp_path / "artifact")
    model.equations().save(tmp_path / "law.json")
    again = Equations.load(tmp_path / "law.json", functions=functions)
    x = torch.linspace(-1, 1, 5)[:, None]
    torch.testing.assert_close(again.torch(torch.float32)(x), model(x))
