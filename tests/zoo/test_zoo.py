"""Whatever network people use: traced without configuration, cut at random, and exactly what the gated one computes."""

import copy
import math
from fnmatch import fnmatchcase

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import ellzero as l0
import networks
from ellzero.errors import TraceError
from ellzero.graph import Costs, Target, forward, tensors_in
from networks.calls import turned
from networks.expected import KEPT, NOTHING_PRUNABLE, PRUNABLE, WORK_DEPENDS_ON_DATA

SEEDS = (0, 1)
TOLERANCE = 1e-10
"""Of the largest output, in float64: what another order of summation may change, and room for it."""


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        if other.is_floating_point():
            largest = max(float(other.abs().max()), 1e-3)
            assert float((one - other).abs().max()) <= TOLERANCE * largest
        else:
            assert torch.equal(one, other)


def attention_flops(query, key, value, *_, **__) -> int:
    """Twice the multiply-adds of scores and mixing; queries `(batch, heads, length, width)`."""
    *batch, length, width = query
    return 2 * math.prod(batch) * length * key[-2] * (width + value[-1])


def matrix_vector_flops(matrix, vector, *_, **__) -> int:
    return 2 * math.prod(matrix)


def dot_flops(one, other, *_, **__) -> int:
    return 2 * math.prod(one)


NOT_COUNTED_BY_TORCH = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention_flops,
    torch.ops.aten.mv: matrix_vector_flops,
    torch.ops.aten.dot: dot_flops,
    torch.ops.aten.vdot: dot_flops,
}


def sizes_of(model: nn.Module, example) -> list[int]:
    """Parameters and multiply-adds of a network that is run on real numbers."""
    counter = FlopCounterMode(display=False, custom_mapping=NOT_COUNTED_BY_TORCH)
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its one fused operation is not counted
    try:
        with torch.no_grad(), counter:
            forward(model, example)
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)
    return [sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() // 2]


def dimensions(model: nn.Module, pattern: str) -> list[tuple[str, int]]:
    """The dimensions of parameters that a pattern `tensor:dimension` stands for."""
    return [
        (name, dim)
        for name, parameter in model.named_parameters()
        for dim in range(parameter.dim())
        if fnmatchcase(f"{name}:{dim}", pattern)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_cut_network_computes_what_the_gated_one_does(case, seed, run):
    gated, small = case.pruned(seed)
    assert_same(run(small, case.example), run(gated, case.example))


@pytest.mark.parametrize("seed", SEEDS)
def test_it_also_does_on_inputs_that_it_was_not_traced_with(case, seed, run):
    gated, small = case.pruned(seed)
    other = turned(case.example)
    assert_same(run(small, other), run(gated, other))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_cut_network_has_the_size_that_its_plan_announces(case, seed):
    gated, small = case.pruned(seed)
    costs = Costs(gated.layout, [Target("params"), Target("macs")])
    params, macs = costs.exact(gated.gates.is_open())
    assert params == sizes_of(small, case.example)[0] == l0.count(small, case.example).params
    if case.name not in WORK_DEPENDS_ON_DATA:
        assert macs == sizes_of(small, case.example)[1] == l0.count(small, case.example).macs


def test_the_costs_of_the_whole_network_are_its_sizes(case):
    costs = Costs(case.pruned(0)[0].layout, [Target("params"), Target("macs")])
    assert costs.full == sizes_of(case.model, case.example)


def test_it_comes_back_from_its_folder_as_it_was(case, tmp_path, run):
    _, small = case.pruned(0)
    l0.save(small, tmp_path / "small")
    again = l0.load(tmp_path / "small", lambda: networks.build(case.name)[0])
    for one, other in zip(run(again, case.example), run(small, case.example), strict=True):
        assert torch.equal(one, other)


def test_it_can_be_trained_further(case):
    torch.manual_seed(0)
    small = copy.deepcopy(case.pruned(1)[1]).train()
    trained = {name: parameter for name, parameter in small.named_parameters() if parameter.requires_grad}
    before = {name: parameter.detach().clone() for name, parameter in trained.items()}
    optimizer = torch.optim.SGD(trained.values(), lr=1e-2)
    results = [tensor for tensor in tensors_in(forward(small, case.example)) if tensor.requires_grad]
    sum(tensor.square().mean() for tensor in results).backward()
    optimizer.step()
    moved = [name for name, parameter in trained.items() if not torch.equal(parameter, before[name])]
    assert moved
    assert all(bool(parameter.isfinite().all()) for parameter in trained.values())


def test_ties_and_frozen_weights_stay_as_they_were(case):
    _, small = case.pruned(0)
    for name, parameter in small.named_parameters():
        assert parameter.requires_grad == case.model.get_parameter(name).requires_grad, name
    tied = [name for name, _ in case.model.named_parameters(remove_duplicate=False)]
    left = [name for name, _ in small.named_parameters(remove_duplicate=False)]
    if set(tied) == set(left):  # no branch was emptied
        assert len(list(small.parameters())) == len(list(case.model.parameters()))


def test_a_network_is_without_gates_only_where_mathematics_wants_it(case):
    assert bool(case.channels.gated) != (case.name in NOTHING_PRUNABLE)
    if case.name in NOTHING_PRUNABLE:
        assert NOTHING_PRUNABLE[case.name] in str(case.channels)


def test_a_network_without_gates_is_refused_with_all_reasons(case):
    if case.channels.gated:
        pytest.skip("something can be gated")
    with pytest.raises(TraceError, match="there is nothing to gate") as refused:
        l0.Gated(case.model, case.example)
    assert all(group.reason and group.reason in str(refused.value) for group in case.channels.groups)


def test_what_a_user_expects_to_shrink_does(case):
    cut = {(member.tensor, member.dim) for group in case.channels.gated for member in group.members}
    for pattern in PRUNABLE[case.name]:
        asked = dimensions(case.model, pattern)
        assert asked, f"{pattern} names nothing"
        assert not set(asked) - cut, pattern


def test_what_is_kept_says_why(case):
    for group in case.channels.kept:
        assert group.reason in str(case.channels)
    reasons = {
        (member.tensor, member.dim): group.reason for group in case.channels.kept for member in group.members
    }  # fmt: skip
    for pattern, why in KEPT.get(case.name, {}).items():
        for place in dimensions(case.model, pattern):
            assert why in reasons[place], place


def test_the_tables_speak_of_networks_that_exist():
    assert PRUNABLE.keys() == networks.NETWORKS.keys()
    assert {*KEPT, *NOTHING_PRUNABLE, *WORK_DEPENDS_ON_DATA} <= networks.NETWORKS.keys()
    assert len(NOTHING_PRUNABLE) <= 3


def test_a_network_of_the_zoo_is_always_the_same():
    one, other = (networks.build("residual")[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
