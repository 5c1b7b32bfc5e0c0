"""Steps of random networks that own parameters: layers, norms, attention, recurrence, functional weights."""

__all__ = ["LAYERS"]

from networks.random_networks import Program, Value


def linear(p: Program, x: Value) -> str:
    out, bias = p.rng.choice([2, 4, 6, 8, 9, 12]), p.rng.random() < 0.7
    return f"{p.own(f'nn.Linear({x.shape[-1]}, {out}, bias={bias})')}({x.name})"


def hidden(p: Program, x: Value) -> str:
    act = p.rng.choice(["F.relu", "torch.tanh", "torch.sigmoid", "F.gelu", "F.silu", "torch.exp", "torch.cos"])
    return f"{act}({linear(p, x)})"


def convolution(p: Program, x: Value) -> str:
    rank = len(x.shape) - 1
    wide = x.shape[0]
    groups = p.rng.choice([1, 1, wide, *[g for g in (2, 3) if wide % g == 0]])
    out, kernel = groups * p.rng.choice([1, 2, 3, 6 // min(6, groups) or 1]), p.rng.choice([1, 1, 2, 3])
    options = f"groups={groups}, stride={p.rng.choice([1, 1, 2])}, padding={kernel // 2}, bias={p.rng.random() < 0.7}"
    kind = p.rng.choice(["Conv", "Conv", "Conv", "ConvTranspose"])
    return f"{p.own(f'nn.{kind}{rank}d({wide}, {out}, {kernel}, {options})')}({x.name})"


def batch_norm(p: Program, x: Value) -> str:
    rank = max(1, len(x.shape) - 1)
    return f"{p.own(f'nn.BatchNorm{rank}d({x.shape[0]}, affine={p.rng.random() < 0.8})')}({x.name})"


def group_norm(p: Program, x: Value) -> str:
    groups = p.rng.choice([g for g in range(1, x.shape[0] + 1) if x.shape[0] % g == 0])
    return f"{p.own(f'nn.GroupNorm({groups}, {x.shape[0]})')}({x.name})"


def layer_norm(p: Program, x: Value) -> str:
    kind, count = p.rng.choice(["LayerNorm", "RMSNorm"]), p.rng.choice([1, 1, 1, 2])
    return f"{p.own(f'nn.{kind}({list(x.shape[-count:])})')}({x.name})"


def residual(p: Program, x: Value) -> str:
    branch = p.put(hidden(p, x))
    return f"{x.name} + {p.own(f'nn.Linear({branch.shape[-1]}, {x.shape[-1]})')}({branch.name})"


def projected(p: Program, x: Value) -> str:
    other = p.rng.choice(p.values)
    op = p.rng.choice(["+", "*", "-"])
    return f"{x.name} {op} {p.own(f'nn.Linear({other.shape[-1]}, {x.shape[-1]})')}({other.name})"


def again(p: Program, x: Value) -> str:
    """A layer that is there already, for another value."""
    layers = [line.split(" = ")[0] for line in p.made if "nn.Parameter" not in line]
    return f"{p.rng.choice(layers)}({x.name})"


def transposed(p: Program, x: Value) -> str:
    """The weight of a linear layer, the other way round."""
    layers = [line.split(" = ")[0] for line in p.made if "nn.Linear" in line]
    return f"F.linear({x.name}, {p.rng.choice(layers)}.weight.t())"


def functional(p: Program, x: Value) -> str:
    wide, out = x.shape[-1], p.rng.choice([4, 6, 8])
    w = p.weight(out, wide)
    text = p.rng.choice([
        "{w} * 0.5", "{w}", "{w}[:3]", "{w}[1:]", "{w}[::2]", "{w}.flip(0)", "{w}.tanh()", "{w}[[2, 0, 1]]",
        "torch.cat([{w}, {other}])", "{w} - {w}.mean(1, keepdim=True)", "{w}.softmax(0)", "{w} * {row}",
        "{w} * {column}", "{column} * {w} / {w}.norm(dim=1, keepdim=True)",
    ])  # fmt: skip
    made = {"w": w}
    for name, shape in (("other", (3, wide)), ("row", (wide,)), ("column", (out, 1))):
        if f"{{{name}}}" in text:
            made[name] = p.weight(*shape)
    return f"F.linear({x.name}, {text.format(**made)})"


def matrix(p: Program, x: Value) -> str:
    wide, out = x.shape[-1], p.rng.choice([3, 6])
    w = p.weight(wide, out)
    letters = "abcd"[: len(x.shape)]
    return p.rng.choice([
        f"{x.name} @ {w}",
        f"torch.einsum('z{letters},{letters[-1]}o->z{letters[:-1]}o', {x.name}, {w})",
        f"torch.einsum('z{letters},{letters[-1]}o->zo{letters[:-1]}', {x.name}, {w})",
        f"torch.matmul({x.name}, {w}).relu_()",
        f"torch.tensordot({x.name}, {w}, dims=1)",
    ])  # fmt: skip


def slices_of_one(p: Program, x: Value) -> str:
    wide = x.shape[-1]
    w = p.weight(8, wide)
    return f"F.linear({x.name}, {w}[:4]) * F.linear({x.name}, {w}[4:]).sigmoid()"


def embedding(p: Program, x: Value) -> str:
    table = p.own(f"nn.Embedding(7, {p.rng.choice([4, 6, 8])})")
    if "tokens" in p.inputs and p.rng.random() < 0.7:
        return f"{table}(tokens)"
    return f"{x.name} + {p.own(f'nn.Embedding(9, {x.shape[-1]})')}(torch.arange({p.size(x, 1)}))"


def position(p: Program, x: Value) -> str:
    shape = [1 if p.rng.random() < 0.4 else size for size in x.shape]
    return f"{x.name} {p.rng.choice('+*')} {p.weight(*shape)}"


def recurrent(p: Program, x: Value) -> str:
    kind, out = p.rng.choice(["LSTM", "GRU", "RNN"]), p.rng.choice([3, 4])
    options = f"batch_first=True, bidirectional={p.rng.random() < 0.3}, num_layers={p.rng.choice([1, 1, 2])}"
    end = p.rng.choice(["[0]", "[0]", "[0][:, -1]", "[0].mean(1)"])
    return f"{p.own(f'nn.{kind}({x.shape[1]}, {out}, {options})')}({x.name}){end}"


def heads(p: Program, x: Value) -> str:
    """Attention by hand, with the queries of several heads to one key where asked."""
    wide = x.shape[1]
    num, own, share = p.rng.choice([(2, 3, 1), (3, 2, 1), (4, 2, 2), (4, 3, 4), (1, 4, 1)])
    q, k, v = (p.own(f"nn.Linear({wide}, {n * own})") for n in (num, num // share, num // share))
    many = "" if share == 1 else f".repeat_interleave({share}, 1)"
    b, n = f"{x.name}.shape[0]", p.size(x, 1)
    parts = [f"{w}({x.name}).view({b}, {n}, -1, {own}).transpose(1, 2){m}" for w, m in ((q, ""), (k, many), (v, many))]
    kind = p.rng.choice(["hand", "hand", "fused", "einsum"])
    if kind == "fused":
        p.put(f"F.scaled_dot_product_attention({parts[0]}, {parts[1]}, {parts[2]}, is_causal={p.rng.random() < 0.3})")
    elif kind == "einsum":
        scores = f"torch.einsum('bhid,bhjd->bhij', {parts[0]}, {parts[1]}).softmax(-1)"
        p.put(f"torch.einsum('bhij,bhjd->bhid', {scores}, {parts[2]})")
    else:
        p.put(f"({parts[0]} @ {parts[1]}.mT / {own}**0.5).softmax(-1) @ {parts[2]}")
    mixed = f"{p.values[-1].name}.transpose(1, 2)" + p.rng.choice([".flatten(2)", f".reshape({b}, {n}, -1)"])
    return f"{x.name} + {p.own(f'nn.Linear({num * own}, {wide})')}({mixed})" if p.rng.random() < 0.7 else mixed


def attention(p: Program, x: Value) -> str:
    wide = x.shape[1]
    num = p.rng.choice([n for n in range(1, wide + 1) if wide % n == 0])
    if p.rng.random() < 0.3:
        options = f"batch_first=True, norm_first={p.rng.random() < 0.5}"
        return f"{p.own(f'nn.TransformerEncoderLayer({wide}, {num}, 7, {options})')}({x.name})"
    return f"{p.own(f'nn.MultiheadAttention({wide}, {num}, batch_first=True)')}({x.name}, {x.name}, {x.name})[0]"


def squeeze_excite(p: Program, x: Value) -> str:
    wide = x.shape[0]
    down, up = p.own(f"nn.Linear({wide}, 3)"), p.own(f"nn.Linear(3, {wide})")
    dims, tail = tuple(range(2, len(x.shape) + 1)), ", None" * (len(x.shape) - 1)
    return f"{x.name} * {up}({down}({x.name}.mean({dims})).relu()).sigmoid()[:, :{tail}]"


def bilinear(p: Program, x: Value) -> str:
    other = p.like(x)
    return f"{p.own(f'nn.Bilinear({x.shape[-1]}, {x.shape[-1]}, 5)')}({x.name}, {other.name})"


def reparametrized(p: Program, x: Value) -> str:
    kind = p.rng.choice(["weight_norm", "spectral_norm", "orthogonal"])
    return f"{p.own(f'nn.utils.parametrizations.{kind}(nn.Linear({x.shape[-1]}, 6))')}({x.name})"


def dynamic(p: Program, x: Value) -> str:
    """A weight that is computed from the input."""
    wide = x.shape[-1]
    made = p.own(f"nn.Linear({wide}, {wide * 3})")
    rows = f"{x.name}.flatten(1, -2)" if len(x.shape) > 1 else f"{x.name}[:, None]"
    return f"torch.matmul({rows}, {made}({rows}.mean(1)).view(-1, {p.size(x, len(x.shape))}, 3))"


def prelu(p: Program, x: Value) -> str:
    return f"{p.own(f'nn.PReLU({p.rng.choice([1, x.shape[0]])})')}({x.name})"


LAYERS = (
    linear, linear, linear, hidden, hidden, convolution, convolution, convolution, batch_norm, group_norm, layer_norm,
    layer_norm, residual, residual, projected, again, transposed, functional, functional, matrix, slices_of_one,
    embedding, position, recurrent, heads, heads, attention, squeeze_excite, bilinear, reparametrized, dynamic, prelu,
)  # fmt: skip
