#!/usr/bin/env python3
"""tools/convert_checkpoint.py from end to end: checkpoints made out of a weights file give that file's tensors back,
and what is no checkpoint is refused with a message. Exit status 77 without torch and safetensors.

    check_convert.py WEIGHTS
"""

import contextlib
import io
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))
import convert_checkpoint  # noqa: E402  (needs nothing but the standard library)

try:
    import torch
    from safetensors import safe_open
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


class Settings:
    """What a trainer leaves in its checkpoints: loading it means running code."""


def read(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def run(*arguments):
    """(status, what was printed) of one conversion."""
    output = io.StringIO()
    argv, sys.argv = sys.argv, ["convert_checkpoint.py", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            convert_checkpoint.main()
        return 0, output.getvalue()
    except SystemExit as end:
        return end.code, output.getvalue()
    finally:
        sys.argv = argv


def expect(condition, *what):
    if not condition:
        print("FAILED:", *what)
        sys.exit(1)


def refused(folder, content, part, *options):
    source, result = folder / "bad.ckpt", folder / "bad.safetensors"
    torch.save(content, source)
    status, text = run(source, result, *options)
    expect(status == 1 and part in text, "expected", repr(part), "but got", status, text)
    expect(not list(folder.glob("bad.safetensors*")), "a refused checkpoint left a file")


def main():
    weights, published_meta = read(sys.argv[1])
    plain = {name.removeprefix("model."): value for name, value in weights.items()}
    everything = {**weights, "loss.weight": torch.ones(3), "model.diffuser.noise_table": torch.ones(2)}
    checkpoints = {
        "lightning": {"state_dict": everything, "epoch": 3, "global_step": 100},
        "bare": plain,
        "wrapped": {"state_dict": {"module.model." + name: value for name, value in plain.items()}},
        "compiled": {"state_dict": {"_orig_mod.model." + name: value for name, value in plain.items()}},
        "double": {name: value.double() for name, value in weights.items()},
        "nested": {"model_state_dict": weights},
    }
    keys = ["hidden", "blocks", "latents", "heads", "encoder_self_heads", "encoder_cross_heads", "encoder_blocks",
            "encoder_self_layers_per_block"]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind, checkpoint in checkpoints.items():
            torch.save(checkpoint, folder / "good.ckpt")
            status, text = run(folder / "good.ckpt", folder / "good.safetensors")
            expect(status == 0, kind, text)
            expect(("left out" in text) == (kind == "lightning"), kind, "says what it left out:", text)
            converted, meta = read(folder / "good.safetensors")
            expect(converted.keys() == weights.keys(), kind, "has other tensors", converted.keys() ^ weights.keys())
            for tensor, value in weights.items():
                expect(converted[tensor].dtype == torch.float32, kind, tensor, "is not float32")
                expect(torch.equal(converted[tensor], value.float()), kind, tensor, "differs")
            expect(meta == {key: published_meta[key] for key in keys}, kind, "has other metadata", meta)
        anchor = convert_checkpoint.ANCHOR
        refused(folder, {"state_dict": {"conv.weight": torch.ones(3)}}, "is this a checkpoint of the network?")
        refused(folder, {"epoch": 3}, "holds no weights")
        refused(folder, [torch.ones(2)], "not a dictionary")
        refused(folder, {anchor: weights[anchor]}, "latents is missing")
        refused(folder, {**weights, anchor: torch.ones(3)}, "expected 2 dimensions")
        refused(folder, {**weights, anchor: torch.ones(5, 24)}, "wide and the rest 5")
        refused(folder, {**weights, anchor: weights[anchor] * float("nan")}, "not finite")
        refused(folder, {**weights, anchor: weights[anchor].long()}, "expected a float type")
        refused(folder, weights, "does not divide", "--heads", "5")
        last = [name for name in weights if ".backbone.0." in name]
        refused(folder, {name: value for name, value in weights.items() if name not in last}, "not from 0 on")
        refused(folder, {"state_dict": weights, "settings": Settings()}, "--trust")
        torch.save({"state_dict": weights, "settings": Settings()}, folder / "good.ckpt")
        status, text = run(folder / "good.ckpt", folder / "good.safetensors", "--trust")
        expect(status == 0, "trusted:", text)
        (folder / "text.ckpt").write_text("not a checkpoint")
        for path, part in ((folder / "none.ckpt", "no such file"), (folder / "text.ckpt", "not a checkpoint")):
            status, text = run(path, folder / "bad.safetensors")
            expect(status == 1 and part in text, path, status, text)
        status, text = run(folder / "good.ckpt", folder / "none" / "x.safetensors", "--trust")
        expect(status == 1 and "cannot be written" in text, status, text)
    print("ok")


if __name__ == "__main__":
    main()
