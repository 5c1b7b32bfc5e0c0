"""Random interaction with the pendulum: it obeys the law, is the same every time, and is kept with its checksum."""

import sys

import pytest
import torch

from ellzero.errors import DataError, MissingExtraError
from ellzero.recipes.interaction import LIMIT, STEPS, load_pendulum

SMALL = (3, 2, 1)


@pytest.fixture(scope="module")
def split():
    pytest.importorskip("gymnasium")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ELLZERO_DATA", raising=False)
        return load_pendulum(0, episodes=SMALL)


def test_every_part_has_its_episodes(split):
    for part, num in zip((split.train, split.validation, split.test), SMALL, strict=True):
        assert part.inputs.shape == (num * STEPS, 4)
        assert part.next.shape == (num * STEPS, 3)
        assert part.reward.shape == (num * STEPS, 1)


def test_the_velocity_obeys_the_law(split):
    _, s, w, u = split.train.inputs.T
    expected = (w + 0.05 * (1.5 * 9.81 * s + 3 * u)).clamp(-LIMIT, LIMIT)
    assert torch.allclose(split.train.next[:, 2], expected, atol=1e-5)


def test_the_reward_is_that_of_the_state_before_the_step(split):
    c, s, w, u = split.test.inputs.T
    expected = -(torch.atan2(s, c) ** 2 + 0.1 * w**2 + 0.001 * u**2)
    assert torch.allclose(split.test.reward[:, 0], expected, atol=1e-4)


def test_steps_of_an_episode_follow_each_other_and_episodes_start_apart(split):
    inputs, following = split.train.inputs, split.train.next
    assert torch.equal(inputs[1:STEPS, :3], following[: STEPS - 1])
    starts = torch.cat([part.inputs[::STEPS, :2] for part in (split.train, split.validation, split.test)])
    assert len(starts.unique(dim=0)) == sum(SMALL)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(split):
    pytest.importorskip("gymnasium")
    assert torch.equal(load_pendulum(0, episodes=SMALL).test.inputs, split.test.inputs)
    assert not torch.equal(load_pendulum(1, episodes=SMALL).test.inputs, split.test.inputs)


def test_what_was_driven_is_kept_and_read_again_without_the_simulator(tmp_path, monkeypatch, split):
    monkeypatch.setenv("ELLZERO_DATA", str(tmp_path))
    load_pendulum(0, episodes=SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["pendulum-g9.81-3-2-1-seed0.safetensors"]
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    assert torch.equal(load_pendulum(0, episodes=SMALL).validation.reward, split.validation.reward)


@pytest.mark.parametrize("spoil", ["flip", "cut"])
def test_a_damaged_file_is_refused(tmp_path, split, spoil):
    load_pendulum(0, episodes=SMALL, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content if spoil == "flip" else content[:-50])
    with pytest.raises(DataError, match="delete it, and it is made anew"):
        load_pendulum(0, episodes=SMALL, folder=tmp_path)


def test_a_missing_simulator_is_named_with_its_extra(monkeypatch):
    monkeypatch.delenv("ELLZERO_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MissingExtraError, match=r'pip install "ellzero\[control\]"'):
        load_pendulum(0, episodes=SMALL)


def test_a_missing_folder_and_parts_without_episodes_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"the data folder .* does not exist"):
        load_pendulum(0, folder=tmp_path / "nowhere")
    monkeypatch.setenv("ELLZERO_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"the ELLZERO_DATA folder .* does not exist"):
        load_pendulum(0)
    with pytest.raises(ValueError, match="one episode each"):
        load_pendulum(0, episodes=(1, 0, 1))
