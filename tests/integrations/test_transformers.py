"""Models of Hugging Face Transformers: they generate as before, and a configuration describes them where one can."""

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.errors import SurgeryError
from ellzero.graph import Plan, settle
from ellzero.integrations.transformers import fit_config

transformers = pytest.importorskip("transformers")

TOKENS = torch.arange(14).view(2, 7)


def llama(**options):
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=20, max_position_embeddings=32, bos_token_id=1, eos_token_id=2, **options,
        )
    )  # fmt: skip


def gpt2():
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=40, n_embd=24, n_layer=2, n_head=4, n_positions=32, bos_token_id=1, eos_token_id=2
        )
    )


def bert():
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=20,
            max_position_embeddings=32,
        )
    )  # fmt: skip


def gated(build, *, width=False):
    torch.manual_seed(0)
    network = l0.Gated(build().double(), TOKENS, width=width).eval()
    with torch.no_grad():
        network.log_odds.copy_(torch.randn(len(network.log_odds)) * 2)
    return network


@pytest.mark.parametrize("build", [llama, gpt2])
@pytest.mark.parametrize("width", [False, True])
def test_a_pruned_model_generates_what_the_gated_one_does(build, width):
    network = gated(build, width=width)
    scores = torch.rand(network.layout.num_gates)
    plan = Plan.of(network.layout, settle(network.layout, scores, scores > 0.5))
    small = l0.prune(network, plan=plan)
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "attention_mask": torch.ones_like(TOKENS)}
    with network.planned(plan):
        expected = network.generate(TOKENS, **options)
    assert torch.equal(small.generate(TOKENS, **options), expected)


def test_a_uniform_model_is_saved_and_loaded_by_its_own_methods(tmp_path):
    network = gated(llama)
    small = l0.prune(network, l0.Budget(network, params=0.7), uniform=True).eval()
    changed = fit_config(small)
    assert {name: before for name, (before, _) in changed.items()} == {
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 20,
    }  # fmt: skip
    assert all(after < before for before, after in changed.values())
    small.save_pretrained(tmp_path)
    loaded = transformers.LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float64).eval()
    with torch.no_grad():
        assert torch.equal(loaded(TOKENS).logits, small(TOKENS).logits)


def test_width_is_described_too():
    network = gated(lambda: llama(head_dim=6, attention_bias=True), width=True)
    stream = next(group for group in network.channels.gated if group.size == 24)
    small = l0.prune(network, plan=Plan({stream.name: tuple(range(8))}))
    assert fit_config(small) == {"hidden_size": (24, 16)}
    assert small.config.hidden_size == 16


def test_layers_of_different_widths_are_refused_and_nothing_is_changed():
    network = gated(llama)
    small = l0.prune(network, plan=Plan({"model.layers.0.mlp.gate_proj": (0, 1)}))
    with pytest.raises(SurgeryError, match=r"'model.layers.0.mlp.*has shape .*uniform=True"):
        fit_config(small)
    assert small.config.intermediate_size == 20


def test_a_class_that_derives_the_width_of_a_head_is_refused():
    network = gated(bert)
    heads = [group.name for group in network.channels.gated if group.size == 4]
    small = l0.prune(network, plan=Plan(dict.fromkeys(heads, (0,))))
    with pytest.raises(SurgeryError, match="or the class derives one width from another"):
        fit_config(small)


def test_experts_that_are_picked_from_a_stack_are_found_without_weights():
    sizes = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4, "head_dim": 6}
    config = transformers.GptOssConfig(**sizes, num_key_value_heads=2, intermediate_size=20, num_local_experts=4)
    with torch.device("meta"):
        model = transformers.GptOssForCausalLM(config)
    model.set_experts_implementation("batched_mm")
    (experts,) = (group for group in l0.trace(model, TOKENS).gated if "experts" in group.name)
    assert (experts.size, len(experts.members[0].index)) == (20, 40)
    assert experts.readers == ["model.layers.0.mlp.experts.down_proj"]


@pytest.mark.parametrize("name", ["Longformer", "LED"])
def test_attention_in_windows_is_kept_and_feed_forwards_are_gated_if_the_example_asks_globally(name):
    shared = {"vocab_size": 40, "attention_window": 4, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if name == "Longformer":
        sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 20}
        model = transformers.LongformerModel(transformers.LongformerConfig(**shared, **sizes))
    else:
        sizes = {"d_model": 24, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 20, "decoder_ffn_dim": 20}
        heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
        model = transformers.LEDModel(transformers.LEDConfig(**shared, **sizes, **heads))
    example = {"input_ids": TOKENS[:, :4] + 3}
    assert "query_global.weight' did not on this example" in str(l0.trace(model, example))
    channels = l0.trace(model, example | {"global_attention_mask": torch.eye(4, dtype=torch.long)[[0, 0]]})
    assert [group.size for group in channels.gated].count(20) == (1 if name == "Longformer" else 2)
    assert "no rule for aten.as_strided" in str(channels)


def test_what_has_no_configuration_is_refused():
    with pytest.raises(TypeError, match="which has no config"):
        fit_config(nn.Linear(2, 2))
    with pytest.raises(SurgeryError, match="was not pruned"):
        fit_config(llama())
