"""Steps of random networks without parameters: movement, reductions, products, selections."""

__all__ = ["OPERATIONS"]

from networks.random_networks import Program, Value

ACTIVATIONS = (
    "F.relu({})", "torch.tanh({})", "{}.sigmoid()", "F.gelu({})", "F.hardswish({}.clone(), inplace=True)", "{}.abs()",
    "F.leaky_relu({})", "torch.exp(-{} ** 2)", "{} * 0.5 + 1", "1 / (1 + {} ** 2)", "F.softplus({})",
    "{}.clamp(-1, 1)", "F.dropout({}, 0.2, self.training)", "torch.cos({})", "{} ** 2", "{}.clone().mul_(2)",
    "F.relu6({})", "{}.sign()", "-{}", "torch.atan2({}, {} + 3)", "F.elu({})", "{}.neg().exp().clamp_max(9)",
    "({} > 0).to({}.dtype)",
)  # fmt: skip
ALONG = (
    "F.softmax({}, {d})", "F.log_softmax({}, {d})", "F.glu({}, {d})", "{}.mean({d}, keepdim=True)", "{}.cumsum({d})",
    "F.normalize({}, dim={d})", "{} - {}.mean({d}, keepdim=True)", "{}.flip({d})", "{}.roll(1, {d})",
    "{}.unsqueeze({d})", "{} / {}.norm(dim={d}, keepdim=True).add(1)", "{} - {}.amax({d}, keepdim=True)",
    "{}.sort({d})[0]", "{}.std({d}, keepdim=True)", "{}.topk(2, {d})[0]", "{}.repeat_interleave(2, {d})",
    "{}.narrow({d}, 0, 2)", "{}.select({d}, 1)", "{}.select({d}, -1)", "{}.unbind({d})[0]",
    "torch.stack([{}, {} * 2], {d})", "torch.stack({}.unbind({d})[::-1], {d})", "{}.logsumexp({d})",
    "torch.cat([{}, {}.neg()], {d})", "torch.cat(({}.chunk(2, {d}))[::-1], {d})", "{}.diff(dim={d})",
    "{}.cumprod({d})", "{}.index_select({d}, torch.tensor([1, 0]))", "{}.gather({d}, {}.argsort({d}))", "{}.mean({d})",
    "{}.sum({d})", "torch.cat([{}, torch.zeros_like({})], {d})", "{}.split(2, {d})[0]",
    "{}.split([1, {n} - 1], {d})[1]", "torch.cat([{}.narrow({d}, 1, {n} - 1), {}.narrow({d}, 0, 1)], {d})",
    "{}.amax({d})", "{}.median({d})[0]", "torch.movedim({}, {d}, -1)", "torch.movedim({}, -1, {d})",
    "{}.unfold({d}, 2, 1)", "{}.unfold({d}, 2, 2)", "{} / {n}",
    "{} * torch.arange({n}, dtype=x.dtype).view([-1 if i == {d} else 1 for i in range({}.dim())])", "{} * {n} ** -0.5",
    "{}.take_along_dim({}.argmax({d}, keepdim=True), {d})", "torch.fft.rfft({}, dim={d}).abs()",
    "{}.prod({d}, keepdim=True)", "F.one_hot({}.argmax({d}), {n}).to(x.dtype)", "{}.softmax({d}) * {}",
    "{}.var({d}, keepdim=True).add(1e-3).rsqrt() * {}", "torch.tensor_split({}, 3, {d})[1]",
    "{}.tensor_split([2], {d})[0]", "{}.chunk(3, {d})[-1]", "torch.cat([{}] * 2, {d})",
    "{}.index_add({d}, torch.tensor([0, 1]), {}.narrow({d}, 0, 2))",
)  # fmt: skip
ON_MAPS = (
    "F.max_pool2d({}, 2)", "F.avg_pool2d({}, 2)", "F.adaptive_avg_pool2d({}, 1)", "F.adaptive_avg_pool2d({}, 2)",
    "F.pixel_unshuffle({}, 2)", "F.pixel_shuffle({}, 2)", "F.interpolate({}, scale_factor=2)",
    "F.pad({}, (1, 0, 1, 1))", "F.pad({}, (0, 0, 0, 0, 1, 2))", "F.pad({}, (1, 1, 1, 1), mode='reflect')",
    "F.channel_shuffle({}, 2)", "F.unfold({}, 2)", "F.interpolate({}, size=(3, 3), mode='bilinear')",
    "{}.rot90(1, (2, 3))", "{}.mT", "F.lp_pool2d({}, 2, 2)", "F.local_response_norm({}, 2)", "F.instance_norm({})",
    "{}.flatten(2).transpose(1, 2)", "{}.flatten(2).mT.unflatten(1, {}.shape[2:]).movedim(-1, 1)",
)  # fmt: skip
ON_SEQUENCES = (
    "F.max_pool1d({}, 2)", "F.avg_pool1d({}, 2)", "F.pad({}, (1, 0))", "F.pad({}, (0, 0, 1, 0))", "{}.mT @ {}",
    "({} @ {}.mT).softmax(-1) @ {}", "({} @ {}.mT).tril() @ {}", "torch.cdist({}, {})", "{}.triu()",
    "{}[:, :1].expand_as({})", "{}[:, 0, :, None] * {}[:, 1, None, :]", "torch.einsum('blc,bmc->blm', {}, {})",
    "torch.einsum('blc,blc->bc', {}, {})", "torch.einsum('blc,bld->bcd', {}, {}.cos())",
    "torch.bmm({}, {}.transpose(1, 2).tanh())", "{}.diagonal(dim1=1, dim2=2)",
    "torch.block_diag(*{}.unbind(0)).view({}.shape[0], {}.shape[1], -1)", "{}[:, torch.arange({}.shape[1])]",
)  # fmt: skip


def activation(p: Program, x: Value) -> str:
    return p.rng.choice(ACTIVATIONS).replace("{}", x.name)


def along(p: Program, x: Value) -> str:
    dim = p.dim(x)
    text = p.rng.choice(ALONG).replace("{}", x.name).replace("{n}", p.size(x, dim))
    return text.replace("{d}", str(p.rng.choice([dim, dim - len(x.shape) - 1])))


def on_shape(p: Program, x: Value) -> str:
    return p.rng.choice(ON_MAPS if len(x.shape) == 3 else ON_SEQUENCES).replace("{}", x.name)


def combine(p: Program, x: Value) -> str:
    other = p.like(x)
    text = p.rng.choice(["{} + []", "{} + []", "{} * []", "{} - 0.5 * []", "torch.maximum({}, [])", "{} * [].sigmoid()",
                         "torch.where({} > 0, {}, [])", "{}.masked_fill([] > 0, 0.5)", "torch.lerp({}, [], 0.3)",
                         "torch.addcmul({}, [], {})", "torch.stack([{}, []]).sum(0)", "sum([{}, [], {}])",
                         "torch.stack([{}, []], -1).flatten(-2)", "torch.hypot({}, [] + 2)"])  # fmt: skip
    return text.replace("{}", x.name).replace("[]", other.name)


def broadcast(p: Program, x: Value) -> str:
    other = p.rng.choice(p.values)
    return f"{x.name} {p.rng.choice('+*-')} {other.name}"


def cat(p: Program, x: Value) -> str:
    others = [one for one in p.values if len(one.shape) == len(x.shape)]
    return f"torch.cat([{x.name}, {p.rng.choice(others).name}], {p.dim(x)})"


def contract(p: Program, x: Value) -> str:
    other = p.rng.choice([one for one in p.values if len(one.shape) == len(x.shape)])
    return (
        p.rng.choice(["{} @ []", "{} @ [].mT", "torch.matmul({}.mT, [])"])
        .replace("{}", x.name)
        .replace("[]", other.name)
    )


def slicing(p: Program, x: Value) -> str:
    dim = p.dim(x)
    size = x.shape[dim - 1]
    start = p.rng.randint(0, size - 1)
    whole = p.size(x, dim)
    part = p.rng.choice([
        f"{start}:", f":{start + 1}", "::2", "1::2", "[1, 0]", ":-1", "None", f":{whole} // 2", f"{whole} // 2:",
        "[0, 1, 1]", f"[i for i in range({whole}) if i != 1]",
    ])  # fmt: skip
    return f"{x.name}[{':, ' * dim}{part}]" if p.rng.random() < 0.8 else f"{x.name}[..., {part}]"


def permute(p: Program, x: Value) -> str:
    dims = list(range(1, len(x.shape) + 1))
    p.rng.shuffle(dims)
    return f"{x.name}.permute(0, {', '.join(map(str, dims))}){p.rng.choice(['', '.contiguous()'])}"


def reshape(p: Program, x: Value) -> str:
    """Any other shape: one dimension parted, two joined, or all."""
    dim = p.dim(x)
    sizes = [p.size(x, number) for number in range(1, len(x.shape) + 1)]
    divisors = [n for n in range(1, x.shape[dim - 1] + 1) if x.shape[dim - 1] % n == 0]
    part = p.rng.choice(divisors)
    sizes[dim - 1 : dim] = p.rng.choice([[str(part), "-1"], ["-1", str(part)]])
    name = p.rng.choice(["view", "reshape"])
    return p.rng.choice([
        f"{x.name}.{name}({x.name}.shape[0], {', '.join(sizes)})", f"{x.name}.flatten(1)", f"{x.name}.flatten(-2)",
        f"{x.name}.{name}({x.name}.shape[0], -1)", f"{x.name}.unflatten({dim}, ({part}, -1))",
        f"{x.name}.flatten(1, 2)", f"{x.name}.{name}({x.name}.shape[0], -1, {part})",
    ])  # fmt: skip


def there_and_back(p: Program, x: Value) -> str:
    """Reshape, something in between, and the shape of before."""
    seen = p.put(reshape(p, x))
    done = p.put(p.rng.choice([activation, along, permute])(p, seen))
    return f"{done.name}.reshape({x.name}.shape)"


def expand(p: Program, x: Value) -> str:
    times = p.rng.randint(2, 3)
    return p.rng.choice([
        f"{x.name}.unsqueeze(1).expand(-1, {times}{', -1' * len(x.shape)})",
        f"{x.name}[:, None].repeat(1, {times}{', 1' * len(x.shape)})",
        f"torch.tile({x.name}, ({times},))",
    ])  # fmt: skip


def change(p: Program, x: Value) -> str:
    """Written in place, into a copy."""
    dim = p.dim(x)
    place = f"{':, ' * dim}{p.rng.choice(['0', ':1', '1:', '::2'])}"
    return p.rng.choice([
        f"{{}} = {x.name}.clone()\n{{}}[{place}] = 0.5", f"{{}} = {x.name}.clone()\n{{}}[{place}] *= 2",
        f"{{}} = torch.zeros_like({x.name})\n{{}}[{place}] = {x.name}[{place}]",
        f"{{}} = {x.name}.new_zeros({x.name}.shape)\n{{}} += {x.name}",
        f"{{}} = {x.name} + 0\n{{}}[{place}] += {p.like(x).name}[{place}]",
    ])  # fmt: skip


def split_product(p: Program, x: Value) -> str:
    dim = p.dim(x)
    half = x.shape[dim - 1] // 2
    parts = p.rng.choice([f"chunk(2, {dim})", f"split({half}, {dim})", f"split([{half}, {half}], {dim})",
                          f"unflatten({dim}, (2, -1)).unbind({dim})", f"tensor_split(2, {dim})"])  # fmt: skip
    return f"a, b = {x.name}.{parts}\n{{}} = a * b.{p.rng.choice(['sigmoid', 'tanh', 'cos'])}()"


def choose(p: Program, x: Value) -> str:
    """A branch that depends on a size."""
    return f"{x.name} * 2 if {x.name}.shape[{p.dim(x)}] > 4 else {x.name}.cos()"


def repeat(p: Program, x: Value) -> str:
    dim = p.dim(x)
    return f"{{}} = 0\nfor one in {x.name}.unbind({dim}):\n    {{}} = {{}} + one.tanh()"


OPERATIONS = (
    activation, activation, activation, along, along, along, along, on_shape, on_shape, on_shape, combine, combine,
    combine, broadcast, cat, cat, contract, slicing, slicing, permute, permute, reshape, reshape, there_and_back,
    expand, change, split_product, choose, repeat,
)  # fmt: skip
