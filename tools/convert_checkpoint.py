#!/usr/bin/env python3
"""Converts a published PyTorch checkpoint of the network into the weights file that nearmiss reads.

    pip install torch safetensors
    tools/convert_checkpoint.py nexus.ckpt nexus.safetensors

The checkpoint is a file that torch.save wrote: the weights themselves, or a dictionary with them under "state_dict", as
PyTorch Lightning does. Prefixes that trainers put before the names are taken off, everything is stored as float32, and
the sizes of the network are written into the metadata. Heads and rounds can not be seen in the weights; the published
values are the defaults of --heads and its like.

Loading a checkpoint the old way can run code out of it. With PyTorch 1.13 or newer nothing but weights is loaded; where
that is refused because the file holds more (Lightning keeps its settings there), --trust loads it the old way: only for
a file whose source you trust.
"""

import argparse
import os
import re
import sys

DENOISER = "model.diffuser.model"
ENCODER = "model.global_encoder._encoder"
ANCHOR = DENOISER + ".input_proj.weight"  # what every such network has
IGNORED = r"\.(num_batches_tracked|total_ops|total_params)$"  # counters of trainers and profilers


def fail(message):
    print(f"convert_checkpoint.py: {message}", file=sys.stderr)
    sys.exit(1)


def import_needed():
    """torch and safetensors.torch.save_file, asked for only when there is something to convert."""
    missing = []
    try:
        import torch
    except ImportError:
        missing.append("torch")
    try:
        from safetensors import torch as safetensors_torch
    except ImportError:
        missing.append("safetensors")
    if missing:
        fail(f"needs {' and '.join(missing)}: pip install {' '.join(missing)}")
    return torch, safetensors_torch.save_file


def load(torch, path, trust):
    if not os.path.isfile(path):
        fail(f"{path}: there is no such file")
    try:
        if trust:
            try:
                return torch.load(path, map_location="cpu", weights_only=False)
            except TypeError:  # before 1.13
                return torch.load(path, map_location="cpu")
        return torch.load(path, map_location="cpu", weights_only=True)
    except TypeError:
        fail("this PyTorch can not load weights only: use 1.13 or newer, or --trust if you trust the file's source")
    except Exception as error:  # torch raises whatever the file made its reader do
        hint = "" if trust else "\nIf you trust its source, --trust loads files that hold more than weights."
        fail(f"{path}: not a checkpoint that can be loaded: {first_line(error)}{hint}")


def first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def find_weights(torch, checkpoint, path):
    """{name: tensor} under whatever the trainer wrapped around it."""
    for key in ("state_dict", "model_state_dict", "ema_state_dict"):
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    if not isinstance(checkpoint, dict):
        fail(f"{path}: holds a {type(checkpoint).__name__}, not a dictionary of weights")
    weights = {name.replace("_orig_mod.", ""): value for name, value in checkpoint.items()  # torch.compile adds that
               if isinstance(name, str) and isinstance(value, torch.Tensor) and not re.search(IGNORED, name)}
    if not weights:
        fail(f"{path}: holds no weights; its keys are {', '.join(sorted(map(str, checkpoint))[:8])}")
    return weights


def rename(weights, path):
    """The names that the program knows: everything in the anchor's module, with its prefix exchanged."""
    suffix = ANCHOR.removeprefix("model.")  # one trainer calls the network "model", another "module.model", ...
    anchors = sorted((name for name in weights if name == suffix or name.endswith("." + suffix)), key=len)
    if not anchors:
        fail(f"{path}: no tensor called ...{suffix}: is this a checkpoint of the network?\n"
             f"It has {len(weights)} tensors, such as {', '.join(sorted(weights)[:5])}")
    prefix = anchors[0].removesuffix(suffix)
    renamed, dropped = {}, []
    for name, value in weights.items():
        inside = name.startswith(prefix)
        new = "model." + name.removeprefix(prefix)
        if inside and new.startswith((DENOISER + ".", ENCODER + ".")):
            renamed[new] = value
        else:
            dropped.append(name)
    return renamed, dropped


def count_layers(weights, pattern):
    numbers = {int(match[1]) for name in weights if (match := re.match(pattern, name))}
    if numbers != set(range(len(numbers))):
        fail(f"the layers {pattern} are numbered {sorted(numbers)}, not from 0 on")
    return len(numbers)


def describe(weights, arguments):
    """The metadata: sizes from shapes, the rest from the options."""

    def shape(name, rank):
        if name not in weights:
            fail(f"{arguments.checkpoint}: the tensor {name} is missing")
        if weights[name].dim() != rank:
            fail(f"{arguments.checkpoint}: {name} is {list(weights[name].shape)}, expected {rank} dimensions")
        return weights[name].shape

    hidden = shape(ANCHOR, 2)[0]
    latents, encoder_width = shape(ENCODER + ".latents", 2)
    if encoder_width != hidden:
        fail(f"{arguments.checkpoint}: the map encoder is {encoder_width} wide and the rest {hidden}")
    meta = {
        "hidden": hidden,
        "blocks": count_layers(weights, re.escape(DENOISER) + r"\.backbone\.(\d+)\."),
        "latents": latents,
        "heads": arguments.heads,
        "encoder_self_heads": arguments.encoder_self_heads,
        "encoder_cross_heads": arguments.encoder_cross_heads,
        "encoder_blocks": arguments.encoder_blocks,
        "encoder_self_layers_per_block": count_layers(weights, re.escape(ENCODER) + r"\.self_attention_block\.(\d+)\."),
    }
    for key in ("heads", "encoder_self_heads", "encoder_cross_heads"):
        if meta[key] < 1 or hidden % meta[key]:
            fail(f"--{key.replace('_', '-')} {meta[key]} does not divide the width {hidden}")
    return {key: str(value) for key, value in meta.items()}


def convert(torch, weights, path):
    """float32, contiguous, finite; tensors that share memory are separated."""
    converted = {}
    for name, value in sorted(weights.items()):
        if not value.is_floating_point():
            fail(f"{path}: {name} is stored as {value.dtype}, expected a float type")
        converted[name] = value.detach().to(torch.float32).contiguous().clone()
        if not bool(torch.isfinite(converted[name]).all()):
            fail(f"{path}: {name} holds values that are not finite")
    return converted


def write(save_file, weights, meta, path):
    """Under another name first: nobody finds half a file."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        save_file(weights, temporary, metadata=meta)
        os.replace(temporary, path)
    except Exception as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        fail(f"{path}: cannot be written: {first_line(error)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="the file that torch.save wrote, such as nexus.ckpt")
    parser.add_argument("weights", help="the file to write, such as nexus.safetensors")
    parser.add_argument("--trust", action="store_true", help="load a file that holds more than weights: may run code")
    parser.add_argument("--heads", type=int, default=4, help="attention heads of the denoiser (default 4)")
    parser.add_argument("--encoder-self-heads", type=int, default=8, help="of the map encoder's layers (default 8)")
    parser.add_argument("--encoder-cross-heads", type=int, default=1, help="of its cross-attention (default 1)")
    parser.add_argument("--encoder-blocks", type=int, default=2, help="rounds over the encoder's layers (default 2)")
    arguments = parser.parse_args()
    torch, save_file = import_needed()
    found = find_weights(torch, load(torch, arguments.checkpoint, arguments.trust), arguments.checkpoint)
    weights, dropped = rename(found, arguments.checkpoint)
    meta = describe(weights, arguments)
    converted = convert(torch, weights, arguments.checkpoint)
    write(save_file, converted, meta, arguments.weights)
    parameters = sum(value.numel() for value in converted.values())
    print(f"{arguments.weights}: {len(converted)} tensors, {parameters} parameters, "
          + ", ".join(f"{key} {value}" for key, value in meta.items()))
    if dropped:
        print(f"left out, as no part of the network: {len(dropped)} tensors, such as {', '.join(sorted(dropped)[:3])}")


if __name__ == "__main__":
    main()
