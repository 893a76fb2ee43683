#!/usr/bin/env python3
"""Packs python/nearmiss, a libnearmiss.so and the model's weights into a wheel. Standard library only, no network; the same input gives the
same bytes.

    python3 make_wheel.py --library build/release/libnearmiss.so --version 0.1.0 --out build/release/wheel

The build calls it: cmake --build build/release --target wheel
"""
import argparse
import base64
import hashlib
import pathlib
import platform
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent


def metadata(version: str) -> str:
    return (f"Metadata-Version: 2.1\nName: nearmiss\nVersion: {version}\n"
            "Summary: Rare dangerous driving scenes: generate, find, drive through\n"
            "License: Apache-2.0\nRequires-Python: >=3.9\nRequires-Dist: numpy>=1.21\n"
            "Provides-Extra: gymnasium\nRequires-Dist: gymnasium>=1.0; extra == 'gymnasium'\n"
            "Classifier: Operating System :: POSIX :: Linux\nClassifier: Typing :: Typed\n"
            "Description-Content-Type: text/markdown\n\n" + (HERE.parent / "docs" / "python.md").read_text())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", type=pathlib.Path, required=True, help="the shared library to put in")
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the wheel")
    parser.add_argument("--weights", type=pathlib.Path, default=HERE.parent / "nexus" / "weights" / "nearmiss.safetensors",
                        help="of the model (default: those of the source tree)")
    given = parser.parse_args()
    tag = f"py3-none-linux_{platform.machine()}"
    info = f"nearmiss-{given.version}.dist-info"
    files = {}
    for path in sorted((HERE / "nearmiss").iterdir()):
        if path.suffix in (".py", ".typed"):
            files[f"nearmiss/{path.name}"] = path.read_bytes()
    files["nearmiss/libnearmiss.so"] = given.library.read_bytes()
    files["nearmiss/nearmiss.safetensors"] = given.weights.read_bytes()  # where nearmiss.generate looks first
    for name in ("LICENSE", "NOTICE"):
        files[f"{info}/{name}"] = (HERE.parent / name).read_bytes()
    files[f"{info}/METADATA"] = metadata(given.version).encode()
    files[f"{info}/WHEEL"] = (f"Wheel-Version: 1.0\nGenerator: nearmiss {given.version}\nRoot-Is-Purelib: false\n"
                              f"Tag: {tag}\n").encode()
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    given.out.mkdir(parents=True, exist_ok=True)
    wheel = given.out / f"nearmiss-{given.version}-{tag}.whl"
    unfinished = wheel.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".safetensors") else zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if name.endswith(".so") else 0o644) << 16
            archive.writestr(entry, data)
    unfinished.replace(wheel)
    print(wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
