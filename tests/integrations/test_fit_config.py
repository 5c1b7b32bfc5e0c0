"""Architectures of Transformers, cut in every way that a configuration can describe, saved and loaded by themselves."""

import copy

import pytest
import torch
from torch import nn

import ellzero as l0
from ellzero.errors import SurgeryError
from ellzero.graph import Plan, tensors_in
from ellzero.integrations.transformers import fit_config

transformers = pytest.importorskip("transformers")
LlamaMLP = pytest.importorskip("transformers.models.llama.modeling_llama").LlamaMLP

TOKENS = torch.arange(14).view(2, 7) + 3
SPECIAL = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 20,
    "max_position_embeddings": 32,
}  # fmt: skip
GROUPED = SPECIAL | SIZES | {"num_key_value_heads": 2}
IMAGE = {"image_size": 8, "patch_size": 4}
BOTH = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 20, "decoder_ffn_dim": 20, "decoder_start_token_id": 1,
}  # fmt: skip
PIXELS, SOUND = torch.randn(2, 3, 8, 8), torch.randn(2, 8, 20)
SEQUENCES = {"input_ids": TOKENS, "decoder_input_ids": TOKENS[:, :5]}
FFN, GROUPS, HEADS = 20, 2, 4  # the sizes of groups, by which they are chosen


def clip():
    text = SPECIAL | SIZES | {"projection_dim": 16, "eos_token_id": 39}
    vision = SIZES | IMAGE | {"projection_dim": 16}
    return transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)


def built(name, **options):
    def build():
        return getattr(transformers, name.split()[0])(getattr(transformers, name.split()[1])(**options))

    return build


CASES = {
    "Llama": (
        built("LlamaForCausalLM LlamaConfig", **GROUPED), TOKENS,
        {GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1)}, FFN: {"intermediate_size": (20, 15)}},
    ),
    "Mistral": (
        built("MistralForCausalLM MistralConfig", **GROUPED), TOKENS,
        {GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1)}, 32: {"hidden_size": (32, 24)}},
    ),
    "tied Llama with wide heads": (
        built("LlamaForCausalLM LlamaConfig", **GROUPED, head_dim=12, tie_word_embeddings=True), TOKENS,
        {GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1)}, 32: {"hidden_size": (32, 24)}},
    ),
    "Qwen2, which does not say how wide its heads are": (
        built("Qwen2ForCausalLM Qwen2Config", **GROUPED), TOKENS,
        {
            GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1), "head_dim": (None, 8)},
            FFN: {"intermediate_size": (20, 15)},
            32: {"hidden_size": (32, 24), "head_dim": (None, 8)},
        },
    ),
    "Qwen3": (
        built("Qwen3ForCausalLM Qwen3Config", **GROUPED, head_dim=6), TOKENS,
        {GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1)}, 32: {"hidden_size": (32, 24)}},
    ),
    "Apertus, whose activations store numbers": (
        built("ApertusForCausalLM ApertusConfig", **GROUPED), TOKENS,
        {
            GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1), "head_dim": (None, 8)},
            FFN: {"intermediate_size": (20, 15)},
        },
    ),
    "Mixtral": (
        built("MixtralForCausalLM MixtralConfig", **GROUPED, num_local_experts=3, experts_implementation="eager"),
        TOKENS,
        {GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1), "head_dim": (None, 8)}},
    ),
    "GPT-OSS, whose experts compute pairs": (
        built(
            "GptOssForCausalLM GptOssConfig", **GROUPED, head_dim=8, num_local_experts=3, num_experts_per_tok=2,
            experts_implementation="eager", rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ), TOKENS,
        {GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1)}, FFN: {"intermediate_size": (20, 15)}},
    ),
    "Phi": (
        built("PhiForCausalLM PhiConfig", **GROUPED), TOKENS,
        {GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1), "head_dim": (None, 8)}},
    ),
    "Gemma": (
        built("GemmaForCausalLM GemmaConfig", **GROUPED, head_dim=8), TOKENS,
        {GROUPS: {"num_attention_heads": (4, 2), "num_key_value_heads": (2, 1)}, FFN: {"intermediate_size": (20, 15)}},
    ),
    "GPT-2, which leaves its inner width open": (
        built("GPT2LMHeadModel GPT2Config", **SPECIAL, n_embd=24, n_layer=2, n_head=4, n_positions=32), TOKENS,
        {96: {"n_inner": (None, 72)}},
    ),
    "BERT": (
        built("BertForSequenceClassification BertConfig", **SPECIAL, **SIZES), TOKENS,
        {FFN: {"intermediate_size": (20, 15)}},
    ),
    "ViT": (
        built("ViTForImageClassification ViTConfig", **SIZES, **IMAGE), PIXELS,
        {HEADS: {"num_attention_heads": (4, 3), "head_dim": (None, 8)}, FFN: {"intermediate_size": (20, 15)}},
    ),
    "T5": (
        built(
            "T5ForConditionalGeneration T5Config", **SPECIAL, d_model=32, d_kv=8, d_ff=20, num_layers=2, num_heads=4,
            decoder_start_token_id=0,
        ), SEQUENCES,
        {HEADS: {"num_heads": (4, 3)}, FFN: {"d_ff": (20, 15)}},
    ),
    "BART": (
        built(
            "BartForConditionalGeneration BartConfig", **SPECIAL, **BOTH, max_position_embeddings=32,
            forced_eos_token_id=2,
        ), SEQUENCES,
        {FFN: {"encoder_ffn_dim": (20, 15), "decoder_ffn_dim": (20, 15)}},
    ),
    "Whisper": (
        built(
            "WhisperForConditionalGeneration WhisperConfig", **SPECIAL, **BOTH, num_mel_bins=8, max_source_positions=10,
            max_target_positions=16, suppress_tokens=None, begin_suppress_tokens=None,
        ), {"input_features": SOUND, "decoder_input_ids": TOKENS[:, :5]},
        {FFN: {"encoder_ffn_dim": (20, 15), "decoder_ffn_dim": (20, 15)}},
    ),
    "OPT": (
        built(
            "OPTForCausalLM OPTConfig", **SPECIAL, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            ffn_dim=20, max_position_embeddings=32, word_embed_proj_dim=32,
        ), TOKENS,
        {FFN: {"ffn_dim": (20, 15)}},
    ),
    "CLIP, a configuration of two": (
        lambda: transformers.CLIPModel(clip()), {"input_ids": TOKENS, "pixel_values": PIXELS},
        {FFN: {"text_config.intermediate_size": (20, 15), "vision_config.intermediate_size": (20, 15)}},
    ),
}  # fmt: skip


def double(example):
    if isinstance(example, dict):
        return {name: double(value) for name, value in example.items()}
    return example.double() if example.is_floating_point() else example


def cut(build, example, size, *, width=False, only=""):
    """Without the first quarter of the channels, or half of two, of every group of that size."""
    torch.manual_seed(0)
    network = l0.Gated(build().double(), double(example), width=width).eval()
    groups = [group.name for group in network.channels.gated if group.size == size and only in group.name]
    assert groups
    return l0.prune(network, plan=Plan(dict.fromkeys(groups, tuple(range(max(1, size // 4)))))).eval()


def run(model, example):
    with torch.no_grad():
        return tensors_in(model(**example) if isinstance(example, dict) else model(example))


@pytest.mark.parametrize(("name", "size"), [(name, size) for name, (_, _, sizes) in CASES.items() for size in sizes])
def test_a_configuration_is_found_saved_and_loaded_with_the_same_outputs(name, size, tmp_path):
    build, example, sizes = CASES[name]
    small = cut(build, example, size, width=size == 32)
    assert fit_config(small) == sizes[size]
    assert fit_config(small) == {}  # it fits by now
    small.save_pretrained(tmp_path)
    code = {"experts_implementation": "eager"} if name == "Mixtral" or "experts" in name else {}
    loaded = type(small).from_pretrained(tmp_path, dtype=torch.float64, **code).eval()
    for want, have in zip(run(small, double(example)), run(loaded, double(example)), strict=True):
        torch.testing.assert_close(have, want, rtol=0, atol=1e-6)  # Gemma and T5 compute parts in single precision
    if small.can_generate():
        start = double(example) if isinstance(example, dict) else {"input_ids": example}
        start = {key: value for key, value in start.items() if key != "decoder_input_ids"}
        options = {"max_new_tokens": 4, "do_sample": False}
        assert torch.equal(small.generate(**start, **options), loaded.generate(**start, **options))


def test_a_class_that_computes_with_its_width_is_refused_where_only_shapes_fit():
    build, example, _ = CASES["Gemma"]
    small = cut(build, example, 32, width=True)
    with pytest.raises(SurgeryError, match="computes something else"):
        fit_config(small)
    assert small.config.hidden_size == 32


def test_what_the_class_says_against_it_is_told():
    torch.manual_seed(0)
    build, example, _ = CASES["BERT"]
    network = l0.Gated(build().double(), example, width=True)
    stream = next(group for group in network.channels.gated if group.size == 32)
    small = l0.prune(network, plan=Plan({stream.name: (0, 1)}))
    with pytest.raises(SurgeryError, match=r"hidden size \(30\) is not a multiple.*multiple_of="):
        fit_config(small)


def test_layers_of_different_widths_are_refused_with_what_the_class_says_to_per_layer_config():
    build, example, _ = CASES["Llama"]
    small = cut(build, example, FFN, only="layers.0")
    with pytest.raises(SurgeryError, match=r"'intermediate_size' is a per-layer attribute.*uniform=True"):
        fit_config(small)
    assert not small.config.is_heterogeneous


class Layered(transformers.PreTrainedModel):
    """A class that reads `per_layer_config`, as those of Transformers 5.23 do for a few numbers at most."""

    config_class = transformers.LlamaConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed, self.head = nn.Embedding(40, 32), nn.Linear(32, 40)
        layers = range(config.num_hidden_layers)
        self.layers = nn.ModuleList(LlamaMLP(config.per_layer_config[layer]) for layer in layers)
        self.post_init()

    def forward(self, tokens):
        stream = self.embed(tokens)
        for layer in self.layers:
            stream = stream + layer(stream)
        return (self.head(stream),)


def layered():
    return Layered(transformers.LlamaConfig(**GROUPED | {"num_hidden_layers": 3}))


def test_a_class_that_reads_per_layer_config_may_have_layers_that_differ(tmp_path):
    network = l0.Gated(layered().double(), TOKENS)
    zeroth, _, last = (group.name for group in network.channels.gated if group.size == FFN)
    small = l0.prune(network, plan=Plan({zeroth: tuple(range(5)), last: (3, 4)})).eval()
    assert fit_config(small) == {
        "per_layer_config.0.intermediate_size": (20, 15), "per_layer_config.2.intermediate_size": (20, 18),
    }  # fmt: skip
    assert fit_config(small) == {}
    small.save_pretrained(tmp_path)
    loaded = Layered.from_pretrained(tmp_path, dtype=torch.float64).eval()
    assert loaded.config.is_heterogeneous
    assert torch.equal(run(loaded, TOKENS)[0], run(small, TOKENS)[0])


def test_a_pickled_model_is_compared_on_the_example_that_is_given():
    build, example, _ = CASES["Gemma"]
    small = copy.deepcopy(cut(build, example, 32, width=True))
    del small._ellzero_origin
    with pytest.raises(SurgeryError, match="computes something else"):
        fit_config(small, example=example)
    assert fit_config(small) == {"hidden_size": (32, 24)}  # of its shapes nothing more is known


def test_something_else_that_has_a_config_is_refused():
    network = nn.Linear(2, 2)
    network.config = {"hidden_size": 2}
    with pytest.raises(TypeError, match="expected a pruned PreTrainedModel"):
        fit_config(network)
