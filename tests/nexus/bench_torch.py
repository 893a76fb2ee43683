#!/usr/bin/env python3
"""How long one pass of the published network takes in PyTorch: what `nearmiss bench denoise` is compared with.

The network is rebuilt here from its description (see reference.py), in the plain form that a PyTorch user would run:
float32, eval mode, no gradients, modules of torch.nn. It must reproduce the golden pair before anything is timed.

    bench_torch.py [--sizes 32x21,128x21] [--threads N] [--repeats 10] [--golden DIR]

Prints one JSON object; a pass is the denoiser on one scene of AGENTSxSTEPS tokens, all valid, width 256, 4 blocks,
128 map latents; the map is encoded beforehand, as it is once per scene. Median over the repeats, after 3 that do not
count.
Exit status 77 without torch.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import sys
import time

sys.dont_write_bytecode = True
import reference  # noqa: E402  (ends with 77 itself when NumPy is missing)

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: needs torch")
    sys.exit(77)

PUBLISHED = {"hidden": 256, "blocks": 4, "latents": 128, "heads": 4, "encoder_self_heads": 8, "encoder_cross_heads": 1,
             "encoder_blocks": 2, "encoder_self_layers_per_block": 2}
WARM_UPS = 3
TOLERANCE = 1e-4


class Mlp(nn.Module):
    def __init__(self, into, inner, out, activation=nn.GELU):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(into, inner), activation(), nn.Linear(inner, out))

    def forward(self, x):
        return self.mlp(x)


class Embedding(Mlp):
    """Cosines and sines through Linear-SiLU-Linear."""

    def __init__(self, hidden):
        super().__init__(reference.SINUSOID, hidden, hidden, nn.SiLU)
        half = reference.SINUSOID // 2
        rates = torch.exp(-math.log(10000) * torch.arange(half) / half)
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, x):
        angle = x[..., None] * self.rates
        return self.mlp(torch.cat([angle.cos(), angle.sin()], -1))


class Attention(nn.Module):
    def __init__(self, hidden, context, heads):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(hidden, hidden)
        self.k = nn.Linear(context, hidden)
        self.v = nn.Linear(context, hidden)
        self.projection = nn.Linear(hidden, hidden)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def forward(self, queries, keys, mask=None):
        """mask [n,Q,K], true where a query may look; None: everywhere."""
        q, k, v = self.split(self.q(queries)), self.split(self.k(keys)), self.split(self.v(keys))
        logits = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if mask is not None:
            logits = logits.masked_fill(~mask[:, None], -math.inf)
        shares = logits.softmax(-1)
        if mask is not None:  # a query that may look nowhere
            shares = shares.masked_fill(~mask[:, None], 0.0)
        return self.projection((shares @ v).transpose(-3, -2).flatten(-2))


class CrossBlock(nn.Module):
    def __init__(self, hidden, context, heads):
        super().__init__()
        self.q_layer_norm = nn.LayerNorm(hidden)
        self.kv_layer_norm = nn.LayerNorm(context)
        self.qkv_layer_norm = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, context, heads)
        self.mlp = Mlp(hidden, hidden, hidden)

    def forward(self, x, context, mask=None):
        x = x + self.attention(self.q_layer_norm(x), self.kv_layer_norm(context), mask)
        return x + self.mlp(self.qkv_layer_norm(x))


class SelfBlock(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.layer_norm = nn.LayerNorm(hidden)
        self.qkv_layer_norm = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, hidden, heads)
        self.mlp = Mlp(hidden, hidden, hidden)

    def forward(self, x):
        normed = self.layer_norm(x)
        x = x + self.attention(normed, normed)
        return x + self.mlp(self.qkv_layer_norm(x))


class DitBlock(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.norm = nn.LayerNorm(hidden, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(hidden, hidden, heads)
        self.mlp = Mlp(hidden, 4 * hidden, hidden)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 6 * hidden))

    def forward(self, x, condition, mask):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(condition).chunk(6, -1)
        y = self.norm(x) * (1 + scale1) + shift1
        x = x + gate1 * self.attn(y, y, mask)
        return x + gate2 * self.mlp(self.norm(x) * (1 + scale2) + shift2)


class Block(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.temporal_attention = DitBlock(hidden, heads)
        self.spatial_attention = DitBlock(hidden, heads)

    def forward(self, h, fused, over_time, over_agents):
        """h, fused [B,A,T,H]; masks [B*A,T,T] and [B*T,A,A]."""
        batch, agents, steps, _ = h.shape
        h = self.temporal_attention(h.flatten(0, 1), fused.flatten(0, 1), over_time).unflatten(0, (batch, agents))
        h, fused = h.transpose(1, 2).flatten(0, 1), fused.transpose(1, 2).flatten(0, 1)
        return self.spatial_attention(h, fused, over_agents).unflatten(0, (batch, steps)).transpose(1, 2)


class MapEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config["hidden"]
        self.latents = nn.Parameter(torch.randn(config["latents"], hidden))
        self.cross_attn = CrossBlock(hidden, reference.MAP_CHANNELS, config["encoder_cross_heads"])
        self.self_attention_block = nn.ModuleList(
            SelfBlock(hidden, config["encoder_self_heads"]) for _ in range(config["encoder_self_layers_per_block"]))
        self.rounds = config["encoder_blocks"]

    def forward(self, points, looked_at):
        """points [B,N,7], looked_at [B,N]."""
        x = self.latents.expand(points.shape[0], -1, -1)
        x = self.cross_attn(x, points, looked_at[:, None].expand(-1, x.shape[1], -1))
        for _ in range(self.rounds):
            for layer in self.self_attention_block:
                x = layer(x)
        return x


class Denoiser(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, heads = config["hidden"], config["heads"]
        self.input_proj = nn.Linear(3 * reference.CHANNELS, hidden, bias=False)
        self.diffusion_timestep_embeddor = Embedding(hidden)
        self.physical_timestep_embeddor = Embedding(hidden)
        self.cross_attention = CrossBlock(hidden, hidden, heads)
        self.backbone = nn.ModuleList(Block(hidden, heads) for _ in range(config["blocks"]))
        self.norm = nn.LayerNorm(hidden, eps=1e-6, elementwise_affine=False)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))
        self.output_proj = nn.Linear(hidden, reference.CHANNELS)

    def forward(self, scene, keep, z, u, valid, latents):
        """scene, keep, z [B,A,T,8]; u, valid [B,A,T]; latents [B,N,H]. Returns v [B,A,T,8]."""
        steps = u.shape[2]
        h = self.input_proj(torch.cat([scene * keep, keep, z], -1)) + self.diffusion_timestep_embeddor(u)
        h = h + self.physical_timestep_embeddor(torch.arange(steps, device=u.device) / steps)
        fused = self.cross_attention(h.flatten(1, 2), latents).view_as(h) * valid[..., None]
        over_time = (valid[..., :, None] & valid[..., None, :]).flatten(0, 1)
        turned = valid.transpose(1, 2)
        over_agents = (turned[..., :, None] & turned[..., None, :]).flatten(0, 1)
        for block in self.backbone:
            h = block(h, fused, over_time, over_agents)
        shift, scale = self.adaLN_modulation(fused).chunk(2, -1)
        return self.output_proj(self.norm(h) * (1 + scale) + shift)


def load_part(module, weights, prefix):
    """Strict: a name or shape that does not fit is an error."""
    part = {name.removeprefix(prefix + "."): torch.from_numpy(array).float()
            for name, array in weights.items() if name.startswith(prefix + ".")}
    module.load_state_dict(part)
    return module.eval()


def check(golden):
    """The largest difference from the golden outputs."""
    weights, meta = reference.load(golden / "small-weights.safetensors")
    arrays, _ = reference.load(golden / "small-io.safetensors")
    config = {key: int(value) for key, value in meta.items()}
    encoder = load_part(MapEncoder(config), weights, reference.ENCODER)
    denoiser = load_part(Denoiser(config), weights, reference.DENOISER)
    io = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
    there = io["road_graph_validity"].flatten(1, 2)[..., 0] > 0.5
    worst = 0.0
    for mask, looked_at in (("published_mask", ~there), ("valid_mask", there)):
        latents = encoder(io["road_graph"].flatten(1, 2), looked_at)
        v = denoiser(io["scene"], io["keep"], io["z"], io["u"], io["valid"] > 0.5, latents)
        for name, value in (("latents_", latents), ("v_", v)):
            difference = float((value - io[name + mask]).abs().max())
            worst = difference if not difference <= worst else worst  # keeps a NaN
    return worst


def measure(denoiser, agents, steps, repeats):
    """Median milliseconds."""
    tokens = (1, agents, steps)
    generator = torch.Generator().manual_seed(1)
    scene, z = (torch.randn(*tokens, reference.CHANNELS, generator=generator) for _ in range(2))
    keep = torch.zeros_like(z)
    keep[:, :, : steps // 4 + 1] = 1
    u = torch.where(keep[..., 0] > 0, 0.0, 0.5)
    valid = torch.ones(tokens, dtype=torch.bool)
    latents = torch.randn(1, PUBLISHED["latents"], PUBLISHED["hidden"], generator=generator)
    times = []
    for _ in range(WARM_UPS + repeats):
        start = time.perf_counter()
        denoiser(scene, keep, z, u, valid, latents)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times[WARM_UPS:])


def read_sizes(text):
    """[(agents, steps)] of "32x21,128x21"."""
    sizes = [tuple(int(number) for number in size.split("x")) for size in text.split(",")]
    if not all(len(size) == 2 and min(size) > 0 for size in sizes):
        raise ValueError(text)
    return sizes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=read_sizes, default="32x21,128x21")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--golden", type=pathlib.Path, default=pathlib.Path(__file__).parent / "golden")
    arguments = parser.parse_args()
    if arguments.threads < 1 or arguments.repeats < 1:
        parser.error("--threads and --repeats begin at 1")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    with torch.inference_mode():
        difference = check(arguments.golden)
        if not difference <= TOLERANCE:
            print(f"bench_torch.py: {difference} away from the golden outputs: not timed", file=sys.stderr)
            sys.exit(1)
        denoiser = Denoiser(PUBLISHED).eval()
        result = {"torch": torch.__version__, "threads": arguments.threads, "golden_difference": difference,
                  "parameters": sum(p.numel() for p in denoiser.parameters())}
        for agents, steps in arguments.sizes:
            result[f"pass_ms.{agents}x{steps}"] = round(measure(denoiser, agents, steps, arguments.repeats), 3)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
