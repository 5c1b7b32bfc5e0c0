"""What a user expects of each network of the zoo: which tensors shrink, what is kept and why."""

__all__ = ["KEPT", "NOTHING_PRUNABLE", "PRUNABLE", "WORK_DEPENDS_ON_DATA"]

from collections.abc import Mapping
from types import MappingProxyType

PRUNABLE: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "residual": ("stem.0.weight:0", "blocks.*.conv?.weight:0", "blocks.*.conv?.weight:1", "head.weight:1"),
    "nested concat": ("stem.weight:0", "*.layers.*.2.weight:0", "*.layers.*.2.weight:1", "transition.2.weight:0",
                      "norm.weight:0", "head.weight:1"),
    "depthwise, squeeze-excite": ("0.weight:0", "?.expand.0.weight:[01]", "?.depthwise.weight:0",
                                  "?.squeeze.weight:[01]", "?.excite.weight:[01]", "?.project.0.weight:[01]",
                                  "3.weight:1"),
    "U-Net": ("up.weight:1", "merge.0.weight:[01]", "merge.2.weight:1"),
    "grouped convolution": ("0.weight:0", "3.weight:0", "3.weight:1", "5.weight:0", "5.weight:1", "7.weight:1"),
    "convolution, flatten, linear": ("0.weight:0", "3.weight:[01]", "7.weight:[01]", "9.weight:1"),
    "channel shuffle": ("stem.weight:0", "branch.0.weight:0", "branch.3.weight:0", "branch.5.weight:[01]",
                        "head.weight:1"),
    "pixel shuffle": ("0.weight:0", "2.weight:[01]", "5.weight:1"),
    "layer used three times": ("stem.weight:0", "shared.weight:0", "shared.weight:1", "norms.?.weight:0",
                               "head.weight:1"),
    "weight standardisation": ("one.weight:0", "two.weight:1", "three.weight:0", "head.weight:1"),
    "feature pyramid": ("levels.*.0.weight:0", "laterals.*.weight:[01]", "smooth.*.weight:[01]", "head.weight:1"),
    "instance norm with statistics": ("0.weight:0", "1.weight:0", "3.weight:[01]", "4.weight:0", "6.weight:1"),
    "layer norm over channels and pixels": ("3.weight:0", "5.weight:1"),
    "batch norm without affine": ("0.weight:0", "3.weight:[01]", "6.weight:1"),
    "grouped transposed convolution": ("0.weight:0", "2.weight:[01]", "5.weight:[01]", "7.weight:1"),
    "LSTM": ("layer.weight_ih_l0:0", "layer.weight_hh_l0:[01]", "layer.bias_?h_l0:0", "head.weight:1"),
    "LSTM, two layers, both directions": ("layer.weight_ih_l0*:0", "layer.weight_hh_*:[01]", "layer.weight_ih_l1*:[01]",
                                          "layer.bias_*:0", "head.weight:1"),
    "GRU": ("layer.weight_ih_l0:0", "layer.weight_hh_l0:[01]", "layer.bias_?h_l0:0", "head.weight:1"),
    "nn.TransformerEncoder": ("encoder.layers.?.linear1.weight:0", "encoder.layers.?.linear2.weight:1"),
    "raw parameters with einsum": ("value:2", "out:1", "up:1", "down:0"),
    "top-k mixture of experts": ("1.experts.?.0.weight:0", "1.experts.?.2.weight:1"),
    "multi-query attention": ("qkv.weight:0", "out.weight:1", "mlp.0.weight:0", "mlp.2.weight:1"),
    "cross-attention of other widths": ("mlp.0.weight:0", "mlp.2.weight:1"),
    "adaptive layer norm": ("condition.0.weight:0", "condition.2.weight:1", "mlp.0.weight:0", "mlp.2.weight:1"),
    "messages on a graph": ("read.weight:0", "message.0.weight:[01]", "message.2.weight:[01]", "update.weight:[01]",
                            "head.weight:1"),
    "actor and critic": ("trunk.?.weight:0", "trunk.2.weight:1", "actor.0.weight:[01]", "actor.2.weight:1",
                         "critic.0.weight:[01]", "critic.2.weight:1"),
    "frozen backbone": ("backbone.0.weight:0", "backbone.3.weight:[01]", "head.0.weight:[01]", "head.2.weight:1"),
    "low-rank adapter": ("0.a:0", "0.b:[01]", "0.base.weight:0", "2.a:[01]", "2.b:[01]", "2.base.weight:[01]",
                         "4.weight:1"),
    "weight norm": ("2.parametrizations.weight.original?:0", "4.weight:[01]", "6.weight:1"),
    "spectral norm": ("2.weight:0", "4.weight:1"),
    "bilinear": ("one.weight:0", "two.weight:0", "form.weight:[012]", "head.weight:1"),
    "physics with Fourier features": ("layers.0.weight:0", "layers.2.weight:[01]", "layers.4.weight:[01]",
                                      "layers.6.weight:1"),
    "control flow on data": (),
    "BERT classifier": ("*.self.query.weight:0", "*.self.key.weight:0", "*.self.value.weight:0",
                        "*.attention.output.dense.weight:1", "*.intermediate.dense.weight:0",
                        "*.layer.?.output.dense.weight:1", "bert.pooler.dense.weight:0", "classifier.weight:1"),
    "BERT masked, tied": ("*.self.query.weight:0", "*.self.key.weight:0", "*.self.value.weight:0",
                          "*.attention.output.dense.weight:1", "*.intermediate.dense.weight:0"),
    "GPT-2": ("*.attn.c_attn.weight:1", "*.attn.c_proj.weight:0", "*.mlp.c_fc.weight:1", "*.mlp.c_proj.weight:0"),
    "Llama, tied": ("*.q_proj.weight:0", "*.k_proj.weight:0", "*.v_proj.weight:0", "*.o_proj.weight:1",
                    "*.gate_proj.weight:0", "*.up_proj.weight:0", "*.down_proj.weight:1"),
    "Llama, untied": ("*.q_proj.weight:0", "*.k_proj.weight:0", "*.v_proj.weight:0", "*.o_proj.weight:1",
                      "*.gate_proj.weight:0", "*.up_proj.weight:0", "*.down_proj.weight:1"),
    "Qwen3": ("*.q_proj.weight:0", "*.k_proj.weight:0", "*.v_proj.weight:0", "*.o_proj.weight:1",
              "*.gate_proj.weight:0", "*.up_proj.weight:0", "*.down_proj.weight:1"),
    "Mixtral": ("*.q_proj.weight:0", "*.k_proj.weight:0", "*.v_proj.weight:0", "*.o_proj.weight:1",
                "*.experts.gate_up_proj:1", "*.experts.down_proj:2"),
    "ViT": ("*.q_proj.weight:0", "*.k_proj.weight:0", "*.v_proj.weight:0", "*.o_proj.weight:1", "*.fc1.weight:0",
            "*.fc2.weight:1"),
    "Swin": ("*.q_proj.weight:0", "*.k_proj.weight:0", "*.v_proj.weight:0", "*.o_proj.weight:1", "*.fc1.weight:0",
             "*.fc2.weight:1"),
    "ConvNeXt": ("*.pwconv1.weight:0", "*.pwconv2.weight:1"),
    "T5": ("*Attention.q.weight:0", "*Attention.k.weight:0", "*Attention.v.weight:0", "*Attention.o.weight:1",
           "*.wi_?.weight:0", "*.wo.weight:1"),
    "Whisper": ("*.q_proj.weight:0", "*.k_proj.weight:0", "*.v_proj.weight:0", "*.out_proj.weight:1", "*.fc1.weight:0",
                "*.fc2.weight:1", "*.conv1.weight:0", "*.conv2.weight:1"),
    "CLIP": ("*.q_proj.weight:0", "*.k_proj.weight:0", "*.v_proj.weight:0", "*.out_proj.weight:1", "*.fc1.weight:0",
             "*.fc2.weight:1"),
    "Mamba": ("*.mixer.in_proj.weight:0", "*.mixer.conv1d.weight:0", "*.mixer.x_proj.weight:1",
              "*.mixer.dt_proj.weight:0", "*.mixer.A_log:0", "*.mixer.D:0", "*.mixer.out_proj.weight:1"),
    "Wav2Vec2": ("*.q_proj.weight:0", "*.k_proj.weight:0", "*.v_proj.weight:0", "*.out_proj.weight:1",
                 "*.intermediate_dense.weight:0", "*.output_dense.weight:1"),
})  # fmt: skip
"""For each network patterns of `tensor:dimension`; along each that matches, some channels can be cut."""

KEPT: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "residual": {"head.weight:0": "is an output of the network"},
    "U-Net": {"merge.2.weight:0": "is an output of the network"},
    "layer norm over channels and pixels": {"0.weight:0": "normalised together"},
    "nn.TransformerEncoder": {"read.weight:0": "normalised together",
                              "encoder.layers.0.self_attn.in_proj_weight:0": "is cut at fixed places"},
    "raw parameters with einsum": {"down:1": "is an output of the network"},
    "cross-attention of other widths": {"query.weight:1": "comes from the input",
                                        "query.weight:0": "its width is fixed in the forward pass"},
    "weight norm": {"0.parametrizations.weight.original1:0": "two computed values are multiplied"},
    "actor and critic": {"actor.2.weight:0": "is an output of the network"},
    "BERT masked, tied": {"bert.embeddings.word_embeddings.weight:1": "normalised together"},
    "GPT-2": {"transformer.wte.weight:1": "normalised together"},
    "Llama, tied": {"model.embed_tokens.weight:1": "reduced over channels by mean"},
    "Llama, untied": {"model.embed_tokens.weight:1": "reduced over channels by mean",
                      "lm_head.weight:0": "is an output of the network"},
})  # fmt: skip
"""For some networks what stays whole, and a part of the reason that is printed."""

NOTHING_PRUNABLE: Mapping[str, str] = MappingProxyType({
    "control flow on data": "did not on this example",
})  # fmt: skip
"""Networks in which nothing can be cut, each with a part of the mathematical reason."""

WORK_DEPENDS_ON_DATA = frozenset({"top-k mixture of experts", "Mixtral", "control flow on data"})
"""How often a layer runs depends on the numbers, so that multiply-adds are those of one example only."""
