#!/usr/bin/env python3
"""Fills corpus/TARGET from spec/vectors, so that fuzzing begins with inputs that mean something, and writes farthing.dict.

The targets frames and http take frames, JSON and headers as they stand; the others take bytes apart into steps and fields, for which the
frames of their page are as good a beginning as any and better than none. Where steps lead to what would be long in coming, they are written
out in sequences.py.
"""

import hashlib
import json
import pathlib
import re

from sequences import sequences

here = pathlib.Path(__file__).resolve().parent
vectors = here.parent / "spec" / "vectors"

# Whose fields are made of the bytes of which pages.
PAGES = {
    "payment": ["payment", "evidence", "proof"],
    "batch": ["payment", "deposit"],
    "differential": ["snowblind", "issue", "wallet", "proof", "evidence"],
    "keysets": ["keysets"],
    "restore": ["restore", "wallet"],
    "mint": ["issue", "deposit", "refund", "payment"],
    "recovery": ["issue", "restore", "deposit", "wallet"],
    "verifier": ["payment", "deposit", "http"],
    "wallet": ["wallet", "restore", "issue", "voucher"],
}

# Targets that run whole services: their first minute is for steps, not for seeds.
FEW = {"mint": 40, "recovery": 40, "verifier": 20, "wallet": 12}


def strings(value):
    """All strings below a JSON value."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def objects(value):
    """All objects below a JSON value."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def decoded(text):
    """The bytes of a string that is hex, else nothing."""
    return bytes.fromhex(text) if len(text) % 2 == 0 and re.fullmatch("[0-9a-f]+", text) else b""


def put(target, inputs):
    """Writes inputs into a target's corpus under names that are their hashes."""
    corpus = here / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    for bytes_ in inputs:
        (corpus / hashlib.sha256(bytes_).hexdigest()[:16]).write_bytes(bytes_)
    print(f"{target}: {len(list(corpus.iterdir()))} inputs")


def main():
    pages = {}
    for path in sorted(vectors.rglob("*.json")):
        pages.setdefault(path.stem, []).append(json.loads(path.read_text()))
    everything = list(pages.values())

    frames = [decoded(text) for text in strings(everything) if text.startswith("01") and len(text) >= 20]
    compact = [json.dumps(value, separators=(",", ":")).encode() for value in objects(pages["frames"] + pages["frame"]) if "proof" in value]
    put("frames", [frame for frame in frames if frame] + compact)

    headers = [text.encode() for text in strings(everything) if text.startswith("Payment ")]
    texts = [text.encode() for text in strings(pages["http"]) if len(text) > 8]
    put("http", headers + [b"Payment " + text for text in texts])

    for target, names in PAGES.items():
        found = (decoded(text) for name in names for text in strings(pages.get(name, [])))
        useful = sorted({bytes_ for bytes_ in found if 16 <= len(bytes_) <= 4096}, key=len)
        few = FEW.get(target, len(useful))
        put(target, useful[:: max(1, len(useful) // few)][:few])
    for target, inputs in sequences():
        put(target, inputs)

    words = {text for text in strings(pages["http"]) if 3 <= len(text) <= 64 and text.isascii() and text.isprintable()}
    words |= {"Payment ", "farthing", "charge", "farthing/charge;q=0.5", "eur/100000", "x-original-uri", "../", "%2e", "%2F", "//", "\\", ";"}
    escaped = sorted(word.replace("\\", "\\\\").replace('"', '\\"') for word in words)
    (here / "farthing.dict").write_text("".join(f'"{word}"\n' for word in escaped))


if __name__ == "__main__":
    main()
