"""The file of a finished training: read back as it was written, or refused."""

import shutil
from pathlib import Path

import pytest
import torch

from ellzero.errors import DataError
from ellzero.recipes import digits
from ellzero.recipes.digits import DigitsSettings
from ellzero.recipes.table import find_recipe
from ellzero.recipes.training_file import FILE, SavedTraining, _digest, load_training, save_training


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[SavedTraining, Path]:
    settings = DigitsSettings(epochs=1, budget={}, penalty={"params": 1e-6})
    training = SavedTraining(find_recipe("digits"), settings, digits.run(settings))
    folder = tmp_path_factory.mktemp("saved")
    save_training(training, folder)
    return training, folder


def test_what_was_written_is_read_back(saved):
    training, folder = saved
    found = load_training(folder)
    assert found.settings == training.settings
    assert found.trained.history == training.trained.history
    state = found.trained.gated.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in training.trained.gated.state_dict().items())


@pytest.mark.parametrize("place", [0.02, 0.5, 0.9999])
def test_a_flipped_bit_is_refused_wherever_it_is(saved, tmp_path, place):
    shutil.copy(saved[1] / FILE, tmp_path)
    content = bytearray((tmp_path / FILE).read_bytes())
    content[int(place * len(content))] ^= 1
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged or was not written by ellzero \(.*; train again"):
        load_training(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_tensors_of_every_kind_have_a_checksum_that_knows_name_shape_and_dtype(dtype, shape):
    tensor = torch.zeros(shape, dtype=dtype)
    others = [{"b": tensor}, {"a": tensor[None]}, {"a": torch.zeros(shape, dtype=torch.float64)}, {}]
    assert _digest("", {"a": tensor}) == _digest("", {"a": tensor.clone()})
    assert (
        len({_digest("", {"a": tensor}), _digest("facts", {"a": tensor}), *(_digest("", one) for one in others)}) == 6
    )
