"""Architectures of the `transformers` library, tiny, from their configurations: nothing is downloaded."""

__all__ = ["ARCHITECTURES"]

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

WORDS = 43
"""Size of the vocabulary; no other width is equal to it."""

Network = tuple[nn.Module, Mapping[str, Tensor]]


def _words(length: int = 7) -> Tensor:
    return torch.randint(2, WORDS, (2, length))


def _pixels(size: int = 8) -> Tensor:
    return torch.randn(2, 3, size, size)


def bert_sizes() -> dict[str, Any]:
    """The fields that BERT's two heads share."""
    return {
        "vocab_size": WORDS,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "max_position_embeddings": 16,
    }


def llama_sizes() -> dict[str, Any]:
    """The fields of Llama and its relatives: four heads of queries share two of keys and values."""
    return {
        "vocab_size": WORDS,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 37,
        "max_position_embeddings": 16,
        "use_cache": False,
    }


def bert_classifier() -> Network:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(**bert_sizes(), num_labels=3)), {"input_ids": _words()}


def bert_masked() -> Network:
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(BertConfig(**bert_sizes())), {"input_ids": _words()}


def gpt2() -> Network:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_inner": 37, "n_positions": 16, "use_cache": False}
    return GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, **sizes)), {"input_ids": _words()}


def llama(*, tied: bool) -> Network:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**llama_sizes(), tie_word_embeddings=tied)), {"input_ids": _words()}


def qwen3() -> Network:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return Qwen3ForCausalLM(Qwen3Config(**llama_sizes(), head_dim=10)), {"input_ids": _words()}


def mixtral() -> Network:
    from transformers import MixtralConfig, MixtralForCausalLM

    model = MixtralForCausalLM(MixtralConfig(**llama_sizes(), num_local_experts=4, num_experts_per_tok=2))
    model.set_experts_implementation("eager")  # the grouped kernel does not know float64
    return model, {"input_ids": _words()}


def gpt_oss() -> Network:
    from transformers import GptOssConfig, GptOssForCausalLM

    config = GptOssConfig(
        **llama_sizes(), head_dim=10, num_local_experts=4, num_experts_per_tok=2, sliding_window=4, pad_token_id=0,
        bos_token_id=1, eos_token_id=1, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )  # fmt: skip
    model = GptOssForCausalLM(config)
    model.set_experts_implementation("eager")  # the grouped kernel does not know float64
    return model, {"input_ids": _words()}


def vit() -> Network:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, image_size=8, patch_size=4,
        num_labels=3,
    )  # fmt: skip
    return ViTForImageClassification(config), {"pixel_values": _pixels()}


def swin() -> Network:
    from transformers import SwinConfig, SwinForImageClassification

    config = SwinConfig(
        image_size=16, patch_size=2, embed_dim=12, depths=[2, 1], num_heads=[2, 4], window_size=4, mlp_ratio=1.75,
        num_labels=3,
    )  # fmt: skip
    return SwinForImageClassification(config), {"pixel_values": _pixels(16)}


def convnext() -> Network:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    config = ConvNextConfig(hidden_sizes=[10, 14], depths=[2, 1], num_stages=2, patch_size=2, num_labels=3)
    return ConvNextForImageClassification(config), {"pixel_values": _pixels()}


def t5() -> Network:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=WORDS, d_model=24, d_kv=5, d_ff=37, num_layers=2, num_heads=4, use_cache=False,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return T5ForConditionalGeneration(config), {"input_ids": _words(), "decoder_input_ids": _words(5)}


def whisper() -> Network:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=WORDS, num_mel_bins=9, d_model=24, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=3, encoder_ffn_dim=37, decoder_ffn_dim=41, max_source_positions=8,
        max_target_positions=10, use_cache=False, pad_token_id=0, bos_token_id=1, eos_token_id=1,
        decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    sound = torch.randn(2, 9, 16)
    return WhisperForConditionalGeneration(config), {"input_features": sound, "decoder_input_ids": _words(5)}


def clip() -> Network:
    from transformers import CLIPConfig, CLIPModel

    shared = {"num_hidden_layers": 2, "num_attention_heads": 4}
    text = {"vocab_size": WORDS, "hidden_size": 24, "intermediate_size": 37, "max_position_embeddings": 16, **shared,
            "eos_token_id": WORDS - 1, "bos_token_id": 1, "pad_token_id": 0}  # fmt: skip
    vision = {"hidden_size": 20, "intermediate_size": 33, "image_size": 8, "patch_size": 4, **shared}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=18))
    return model, {"input_ids": _words(), "pixel_values": _pixels()}


def mamba() -> Network:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(
        vocab_size=WORDS, hidden_size=16, state_size=5, num_hidden_layers=2, conv_kernel=3, time_step_rank=3,
        use_cache=False,
    )  # fmt: skip
    return MambaForCausalLM(config), {"input_ids": _words()}


def wav2vec2() -> Network:
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    config = Wav2Vec2Config(
        vocab_size=11, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37,
        conv_dim=(10, 14), conv_kernel=(5, 3), conv_stride=(3, 2), num_feat_extract_layers=2,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=3, mask_time_length=2,
    )  # fmt: skip
    return Wav2Vec2ForCTC(config), {"input_values": torch.randn(2, 60)}


ARCHITECTURES: Mapping[str, Callable[[], Network]] = MappingProxyType({
    "BERT classifier": bert_classifier,
    "BERT masked, tied": bert_masked,
    "GPT-2": gpt2,
    "Llama, tied": lambda: llama(tied=True),
    "Llama, untied": lambda: llama(tied=False),
    "Qwen3": qwen3,
    "Mixtral": mixtral,
    "GPT-OSS": gpt_oss,
    "ViT": vit,
    "Swin": swin,
    "ConvNeXt": convnext,
    "T5": t5,
    "Whisper": whisper,
    "CLIP": clip,
    "Mamba": mamba,
    "Wav2Vec2": wav2vec2,
})  # fmt: skip
"""Name and builder of each network, with its example."""
