#!/usr/bin/env python3
"""Writes every frame of spec/vectors into corpus/frames, so that fuzzing begins with inputs that mean something."""

import hashlib
import json
import pathlib

here = pathlib.Path(__file__).resolve().parent
corpus = here / "corpus" / "frames"


def hex_strings(value):
    """All strings below a JSON value that are the hex of a frame: version 1, then a kind."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from hex_strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from hex_strings(inner)
    elif isinstance(value, str) and value.startswith("01") and len(value) >= 20:
        try:
            yield bytes.fromhex(value)
        except ValueError:
            pass


def main():
    corpus.mkdir(parents=True, exist_ok=True)
    count = 0
    for path in sorted((here.parent / "spec" / "vectors").rglob("*.json")):
        for frame in hex_strings(json.loads(path.read_text())):
            (corpus / hashlib.sha256(frame).hexdigest()[:16]).write_bytes(frame)
            count += 1
    print(f"{count} frames of spec/vectors, {len(list(corpus.iterdir()))} inputs in corpus/frames")


if __name__ == "__main__":
    main()
