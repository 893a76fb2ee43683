#!/usr/bin/env python3
"""The published network (Nexus, arXiv 2504.10485) in float64 NumPy: what the golden files are checked against.

Slow and plain on purpose, and independent of the program: nothing but NumPy, one function for each part, every formula
as it is written down. The weights and their names are those of the published checkpoint after its conversion by
tools/convert_checkpoint.py.

    reference.py check WEIGHTS IO [--tolerance 1e-4]
        recomputes every output that IO holds from the inputs that IO holds; exit status 1 when one differs
    reference.py make DIR [--hidden 32] [--blocks 2] [--latents 8] [--batch 2] [--agents 5] [--steps 7] [--seed 1] ...
        writes DIR/small-weights.safetensors and DIR/small-io.safetensors
    reference.py sensitivity WEIGHTS IO
        whether the pair can tell a wrong network from a right one: zeroes one tensor after another; exit status 1
        when one has no influence on the output

What IO holds, all float32. B scenes, A agents, T steps, D = 8 channels, P polylines of Q points, N latents:
    scene, keep, z              [B,A,T,D]  clean values, 1 where they are known, noised values
    valid, u, u_next            [B,A,T]    1 where there is a token; its noise level; the level after one step
    road_graph, ..._validity    [B,P,Q,7]  polylines and whether a point is there
    latents_MASK                [B,N,H]    the encoded map
    v_MASK                      [B,A,T,D]  the network's output
    logsnr_S, var_S             [B,A,T]    log-SNR at u; variance of one ancestral step from u to u_next
    x0_S, mean_S                [B,A,T,D]  predicted clean values in [-1,1]; mean of that step
MASK is published_mask (the map encoder attends to padding, as the published code does) or valid_mask (to points that
are there); S is cosine or shifted_cosine, and its values follow from v_valid_mask.
"""

import argparse
import json
import math
import pathlib
import struct
import sys

try:
    import numpy as np
except ImportError:
    print("skipped: needs NumPy (Debian: python3-numpy)")
    sys.exit(77)

CHANNELS = 8
MAP_CHANNELS = 7
SINUSOID = 256
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
DENOISER = "model.diffuser.model"
ENCODER = "model.global_encoder._encoder"
MASKS = ("published_mask", "valid_mask")
SCHEDULES = ("cosine", "shifted_cosine")


# files ----------------------------------------------------------------------------------------------------------------
def load(path):
    """{name: float64 array} and {key: text} of a safetensors file."""
    data = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    meta = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = np.frombuffer(data[8 + size + begin : 8 + size + end], TYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = raw.reshape(entry["shape"]).astype(np.float64)
    return tensors, meta


def bfloat16(array):
    """Bits of the nearest bfloat16, ties to even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def save(path, tensors, meta, matrix_type="F32"):
    """The bytes that the program's own writer makes of the same tensors: wide elements first, then by name."""
    stored = {}
    for name, array in tensors.items():
        kind = matrix_type if array.ndim > 1 else "F32"
        bits = bfloat16(array) if kind == "BF16" else np.ascontiguousarray(array, "<f4")
        stored[name] = (kind, array.shape, bits.tobytes())
    order = sorted(stored, key=lambda name: (stored[name][0] == "BF16", name.encode()))
    header = {"__metadata__": dict(sorted(meta.items()))}
    at = 0
    for name in order:
        kind, shape, raw = stored[name]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(stored[name][2] for name in order))


# the network's parts --------------------------------------------------------------------------------------------------
erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def silu(x):
    return x / (1 + np.exp(-x))


def normalise(x, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)


def layer_norm(weights, name, x):
    return normalise(x, 1e-5) * weights[name + ".weight"] + weights[name + ".bias"]


def linear(weights, name, x):
    y = x @ weights[name + ".weight"].T
    return y + weights[name + ".bias"] if name + ".bias" in weights else y


def mlp(weights, name, x, activation=gelu):
    return linear(weights, name + ".mlp.2", activation(linear(weights, name + ".mlp.0", x)))


def attention(weights, name, queries, keys, heads, mask):
    """queries [n,Q,.], keys (and values) [n,K,.], mask [n,Q,K] true where a query may look; a query that may look
    nowhere gets zeros, before the projection."""

    def split(x):
        return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(0, 2, 1, 3)

    q = split(linear(weights, name + ".q", queries))
    k = split(linear(weights, name + ".k", keys))
    v = split(linear(weights, name + ".v", keys))
    logits = np.where(mask[:, None], q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1]), -np.inf)
    highest = logits.max(-1, keepdims=True)
    shares = np.exp(logits - np.where(np.isfinite(highest), highest, 0))
    total = shares.sum(-1, keepdims=True)
    mixed = (shares / np.where(total > 0, total, 1)) @ v
    mixed = mixed.transpose(0, 2, 1, 3).reshape(*queries.shape[:2], -1)
    return linear(weights, name + ".projection", mixed)


def cross_block(weights, name, x, context, heads, mask):
    """Pre-norm cross-attention and MLP, each with a residual."""
    x = x + attention(weights, name + ".attention", layer_norm(weights, name + ".q_layer_norm", x),
                      layer_norm(weights, name + ".kv_layer_norm", context), heads, mask)
    return x + mlp(weights, name + ".mlp", layer_norm(weights, name + ".qkv_layer_norm", x))


def self_block(weights, name, x, heads):
    normed = layer_norm(weights, name + ".layer_norm", x)
    everything = np.ones((x.shape[0], x.shape[1], x.shape[1]), bool)
    x = x + attention(weights, name + ".attention", normed, normed, heads, everything)
    return x + mlp(weights, name + ".mlp", layer_norm(weights, name + ".qkv_layer_norm", x))


def dit_block(weights, name, x, condition, valid, heads):
    """x, condition [n,L,H], valid [n,L]: a pair attends when both are valid."""
    modulation = linear(weights, name + ".adaLN_modulation.1", silu(condition))
    shift1, scale1, gate1, shift2, scale2, gate2 = np.split(modulation, 6, -1)
    y = normalise(x, 1e-6) * (1 + scale1) + shift1
    x = x + gate1 * attention(weights, name + ".attn", y, y, heads, valid[:, :, None] & valid[:, None])
    return x + gate2 * mlp(weights, name + ".mlp", normalise(x, 1e-6) * (1 + scale2) + shift2)


def embed(weights, name, x):
    """Cosines, then sines, of periods 1 to 10000, through Linear-SiLU-Linear."""
    half = SINUSOID // 2
    angle = x[..., None] * np.exp(-math.log(10000) * np.arange(half) / half)
    return mlp(weights, name, np.concatenate([np.cos(angle), np.sin(angle)], -1), silu)


# the network ----------------------------------------------------------------------------------------------------------
def encode_map(weights, config, road_graph, validity, mask):
    """Latents [B,N,H] from polylines [B,P,Q,7]."""
    batch = road_graph.shape[0]
    points = road_graph.reshape(batch, -1, MAP_CHANNELS)
    there = validity.reshape(batch, -1, MAP_CHANNELS)[..., 0] > 0.5
    looked_at = ~there if mask == "published_mask" else there
    x = np.broadcast_to(weights[ENCODER + ".latents"], (batch, *weights[ENCODER + ".latents"].shape))
    pairs = np.broadcast_to(looked_at[:, None], (batch, x.shape[1], points.shape[1]))
    x = cross_block(weights, ENCODER + ".cross_attn", x, points, config["encoder_cross_heads"], pairs)
    for _ in range(config["encoder_blocks"]):  # the same layers again: the rounds share their weights
        for layer in range(config["encoder_self_layers_per_block"]):
            x = self_block(weights, f"{ENCODER}.self_attention_block.{layer}", x, config["encoder_self_heads"])
    return x


def denoise(weights, config, io, latents):
    """v [B,A,T,D]."""
    valid = io["valid"] > 0.5
    batch, agents, steps = valid.shape
    heads = config["heads"]
    h = linear(weights, DENOISER + ".input_proj", np.concatenate([io["scene"] * io["keep"], io["keep"], io["z"]], -1))
    h = h + embed(weights, DENOISER + ".diffusion_timestep_embeddor", io["u"])
    h = h + embed(weights, DENOISER + ".physical_timestep_embeddor", np.arange(steps) / steps)
    width = h.shape[-1]
    tokens = h.reshape(batch, agents * steps, width)
    everything = np.ones((batch, agents * steps, latents.shape[1]), bool)
    fused = cross_block(weights, DENOISER + ".cross_attention", tokens, latents, heads, everything)
    fused = fused.reshape(h.shape) * valid[..., None]

    def over_agents(x):
        return x.swapaxes(1, 2).reshape(batch * steps, agents, *x.shape[3:])

    for block in range(config["blocks"]):
        name = f"{DENOISER}.backbone.{block}"
        rows = (batch * agents, steps)
        h = dit_block(weights, name + ".temporal_attention", h.reshape(*rows, width), fused.reshape(*rows, width),
                      valid.reshape(rows), heads).reshape(h.shape)
        h = dit_block(weights, name + ".spatial_attention", over_agents(h), over_agents(fused), over_agents(valid),
                      heads)
        h = h.reshape(batch, steps, agents, width).swapaxes(1, 2)
    shift, scale = np.split(linear(weights, DENOISER + ".adaLN_modulation.1", silu(fused)), 2, -1)
    return linear(weights, DENOISER + ".output_proj", normalise(h, 1e-6) * (1 + scale) + shift)


# noise ----------------------------------------------------------------------------------------------------------------
def log_snr(schedule, u):
    shift = math.log(64 / 128)
    low, high = -15 + shift, 15 + shift
    t0, t1 = math.atan(math.exp(-high / 2)), math.atan(math.exp(-low / 2))
    return -2 * np.log(np.tan(t0 + u * (t1 - t0))) + (2 * shift if schedule == "shifted_cosine" else 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def ancestral_step(schedule, z, v, u, u_next):
    """x0, mean [B,A,T,D] and variance [B,A,T] of one step from noise level u down to u_next."""
    now, then = log_snr(schedule, u), log_snr(schedule, u_next)
    alpha, sigma = np.sqrt(sigmoid(now))[..., None], np.sqrt(sigmoid(-now))[..., None]
    x0 = np.clip(alpha * z - sigma * v, -1, 1)
    c = -np.expm1(now - then)
    mean = np.sqrt(sigmoid(then))[..., None] * (z * (1 - c[..., None]) / alpha + c[..., None] * x0)
    return x0, mean, sigmoid(-then) * c


def outputs(weights, config, io):
    result = {}
    for mask in MASKS:
        latents = encode_map(weights, config, io["road_graph"], io["road_graph_validity"], mask)
        result["latents_" + mask] = latents
        result["v_" + mask] = denoise(weights, config, io, latents)
    for schedule in SCHEDULES:
        x0, mean, variance = ancestral_step(schedule, io["z"], result["v_valid_mask"], io["u"], io["u_next"])
        result["logsnr_" + schedule] = log_snr(schedule, io["u"])
        result["x0_" + schedule] = x0
        result["mean_" + schedule] = mean
        result["var_" + schedule] = variance
    return result


# golden files ---------------------------------------------------------------------------------------------------------
def shapes(config):
    """{name: shape} of every weight."""
    hidden = config["hidden"]
    table = {}

    def linear_shape(name, out, into, bias=True):
        table[name + ".weight"] = (out, into)
        if bias:
            table[name + ".bias"] = (out,)

    def norm_shape(name, width):
        table[name + ".weight"] = table[name + ".bias"] = (width,)

    def attention_shape(name, context):
        linear_shape(name + ".q", hidden, hidden)
        linear_shape(name + ".k", hidden, context)
        linear_shape(name + ".v", hidden, context)
        linear_shape(name + ".projection", hidden, hidden)

    def mlp_shape(name, into, inner):
        linear_shape(name + ".mlp.0", inner, into)
        linear_shape(name + ".mlp.2", hidden, inner)

    def cross_shape(name, context):
        norm_shape(name + ".q_layer_norm", hidden)
        norm_shape(name + ".kv_layer_norm", context)
        norm_shape(name + ".qkv_layer_norm", hidden)
        attention_shape(name + ".attention", context)
        mlp_shape(name + ".mlp", hidden, hidden)

    linear_shape(DENOISER + ".input_proj", hidden, 3 * CHANNELS, bias=False)
    mlp_shape(DENOISER + ".diffusion_timestep_embeddor", SINUSOID, hidden)
    mlp_shape(DENOISER + ".physical_timestep_embeddor", SINUSOID, hidden)
    cross_shape(DENOISER + ".cross_attention", hidden)
    for block in range(config["blocks"]):
        for part in ("temporal", "spatial"):
            name = f"{DENOISER}.backbone.{block}.{part}_attention"
            attention_shape(name + ".attn", hidden)
            mlp_shape(name + ".mlp", hidden, 4 * hidden)
            linear_shape(name + ".adaLN_modulation.1", 6 * hidden, hidden)
    linear_shape(DENOISER + ".adaLN_modulation.1", 2 * hidden, hidden)
    linear_shape(DENOISER + ".output_proj", CHANNELS, hidden)
    table[ENCODER + ".latents"] = (config["latents"], hidden)
    cross_shape(ENCODER + ".cross_attn", MAP_CHANNELS)
    for layer in range(config["encoder_self_layers_per_block"]):
        name = f"{ENCODER}.self_attention_block.{layer}"
        norm_shape(name + ".layer_norm", hidden)
        norm_shape(name + ".qkv_layer_norm", hidden)
        attention_shape(name + ".attention", hidden)
        mlp_shape(name + ".mlp", hidden, hidden)
    return table


def make_weights(config, random):
    """Scaled so that activations stay near 1 and each part moves the output by far more than a test's tolerance."""
    weights = {}
    for name, shape in sorted(shapes(config).items()):
        values = random.standard_normal(shape)
        if "layer_norm.weight" in name:
            weights[name] = 1 + 0.3 * values
        elif name.endswith(".bias"):
            weights[name] = 0.3 * values
        elif name.endswith(".latents"):
            weights[name] = values
        else:
            gain = 2 if ".q." in name or ".k." in name else 1  # attention that is not nearly even
            weights[name] = values * gain / math.sqrt(shape[1])
    return weights


def make_validity(config, random):
    """Irregular; the first scene's last agent has no token, the last scene has three tokens of two agents."""
    batch, agents, steps = config["batch"], config["agents"], config["steps"]
    valid = random.random((batch, agents, steps)) < 0.75
    valid[0, 0] = True
    valid[0, -1] = False
    valid[-1] = False
    valid[-1, 0, :2] = valid[-1, 1, 1] = True
    return valid


def make_inputs(config, random):
    batch, agents, steps = config["batch"], config["agents"], config["steps"]
    tokens = (batch, agents, steps)
    road = (batch, config["polylines"], config["points"], MAP_CHANNELS)
    valid = make_validity(config, random)
    keep = np.broadcast_to((random.random(tokens) < 0.35)[..., None], (*tokens, CHANNELS))
    u = np.where(keep[..., 0], 0, random.random(tokens))
    there = random.random(road[:3]) < 0.6
    there[:, 0, 0], there[:, -1, -1] = True, False  # each scene has points and padding
    return {
        "scene": random.uniform(-1, 1, (*tokens, CHANNELS)) * valid[..., None],
        "valid": valid,
        "keep": keep,
        "u": u,
        "u_next": u * random.uniform(0.3, 0.95, tokens),
        "z": random.standard_normal((*tokens, CHANNELS)),
        "road_graph": random.standard_normal(road),
        "road_graph_validity": np.broadcast_to(there[..., None], road),
    }


def as_stored(tensors, matrix_type="F32"):
    """float64 values after they have been through the file."""
    result = {}
    for name, array in tensors.items():
        array = np.asarray(array, np.float32)
        if matrix_type == "BF16" and array.ndim > 1:
            array = (bfloat16(array).astype(np.uint32) << 16).view(np.float32)
        result[name] = array.astype(np.float64)
    return result


# commands -------------------------------------------------------------------------------------------------------------
def read_config(meta, path):
    try:
        return {key: int(value) for key, value in meta.items()}
    except ValueError as error:
        sys.exit(f"{path}: metadata that is not a number: {error}")


def load_pair(arguments):
    weights, meta = load(arguments.weights)
    io, _ = load(arguments.io)
    config = read_config(meta, arguments.weights)
    wanted = shapes(config)
    wrong = sorted(name for name in wanted.keys() | weights.keys()
                   if name not in wanted or name not in weights or weights[name].shape != wanted[name])
    if wrong:
        sys.exit(f"{arguments.weights}: {len(wrong)} tensors missing, unknown or misshapen, the first {wrong[0]}")
    return weights, config, io


def check(arguments):
    weights, config, io = load_pair(arguments)
    failed = 0
    for name, value in outputs(weights, config, io).items():
        if name not in io or io[name].shape != value.shape:
            print(f"{name:28} missing or of another shape")
            failed = 1
            continue
        worst = float(np.abs(io[name] - value).max())
        verdict = "ok" if worst <= arguments.tolerance else "DIFFERS"  # a NaN is not <=
        failed |= verdict != "ok"
        print(f"{name:28} largest difference {worst:.2e} of {np.abs(value).max():.3g}  {verdict}")
    return failed


def make(arguments):
    config = {key: value for key, value in vars(arguments).items() if isinstance(value, int)}
    random = np.random.Generator(np.random.PCG64(config["seed"]))
    weights, io = make_weights(config, random), make_inputs(config, random)
    io.update(outputs(as_stored(weights, "BF16"), config, as_stored(io)))
    meta = {key: str(value) for key, value in config.items()}
    folder = pathlib.Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    # matrices in bfloat16: half the size, and a program that multiplies in bfloat16 starts from the same weights
    save(folder / "small-weights.safetensors", weights, meta, "BF16")
    save(folder / "small-io.safetensors", {name: np.asarray(array, np.float32) for name, array in io.items()}, meta)
    return 0


def sensitivity(arguments):
    weights, config, io = load_pair(arguments)
    plain = outputs(weights, config, io)
    failed = 0
    for name in sorted(weights):
        if name.endswith(".k.bias"):
            continue  # moves all logits of a query alike: no influence, by the nature of softmax
        changed = outputs({**weights, name: np.zeros_like(weights[name])}, config, io)
        least = min(float(np.abs(changed["v_" + mask] - plain["v_" + mask]).max()) for mask in MASKS)
        failed |= least < 1e-2
        print(f"{name:80} {least:.2e}{'  TOO LITTLE' if least < 1e-2 else ''}")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function in (check, sensitivity):
        command = commands.add_parser(function.__name__)
        command.set_defaults(run=function)
        command.add_argument("weights")
        command.add_argument("io")
        if function is check:
            command.add_argument("--tolerance", type=float, default=1e-4)
    command = commands.add_parser("make")
    command.set_defaults(run=make)
    command.add_argument("folder")
    defaults = {"hidden": 32, "blocks": 2, "latents": 8, "batch": 2, "agents": 5, "steps": 7, "polylines": 4,
                "points": 5, "heads": 4, "encoder_self_heads": 8, "encoder_cross_heads": 1, "encoder_blocks": 2,
                "encoder_self_layers_per_block": 2, "seed": 1}
    for name, value in defaults.items():
        command.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    arguments = parser.parse_args()
    sys.exit(arguments.run(arguments))


if __name__ == "__main__":
    main()
