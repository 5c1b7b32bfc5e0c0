"""A checkpoint of the Hugging Face libraries, cut to a plan of uniform widths, is one again."""

import copy
import json

import pytest
import torch

from ellzero import Gated, cut_checkpoint, make_plan, prune, trace

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("tie", [False, True])
def test_from_pretrained_loads_a_cut_checkpoint_and_computes_what_the_pruned_network_does(tmp_path, tie):
    sizes = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
             "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
    config = transformers.LlamaConfig(**sizes, tie_word_embeddings=tie)
    torch.manual_seed(0)
    dense = transformers.LlamaForCausalLM(config).eval()
    dense.save_pretrained(tmp_path / "dense", max_shard_size="20KB")
    with torch.device("meta"):
        blank = transformers.LlamaForCausalLM(config)
    example = {"input_ids": torch.zeros(1, 3, dtype=torch.long), "use_cache": False}
    channels = trace(blank, example)
    plan = make_plan(channels, params={"model.layers.*.mlp": 0.5})
    cut_checkpoint(blank, channels, plan, tmp_path / "dense", tmp_path / "small")
    assert len(list((tmp_path / "small").glob("*.safetensors"))) > 1

    config = copy.deepcopy(config)
    config.intermediate_size = 24
    config.save_pretrained(tmp_path / "small")
    small = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "small").eval()
    index = json.loads((tmp_path / "small" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_parameters"] == small.num_parameters()

    gated = Gated(dense, example)
    with torch.no_grad():
        gated.log_odds.fill_(20)
    words = torch.randint(97, (2, 7))
    assert torch.equal(small(words).logits, prune(gated, plan=plan)(words).logits)
