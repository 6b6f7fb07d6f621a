#!/usr/bin/env python3
"""Writes and checks the vectors.

    run.py                  writes spec/vectors/ and the examples in the pages
    run.py --check          regenerates everything in memory, compares, runs all self tests and every negative vector
    run.py --accept FILE    verifies artefacts made by another implementation (protocol/tests/vectors.rs writes them)

Ends with one line `N passed, N failed`.
"""

import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import accept
import errors
import http_scheme
import labels
import negative
import pages
import positive
import schema
import selftest
import wire
import world

SPEC = pathlib.Path(__file__).parent.parent
VECTORS = SPEC / "vectors"


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def __call__(self, name, good):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"failed: {name}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def generate():
    """{file name: content as JSON values}, positive and negative."""
    mint = world.mint()
    files = positive.all_files(mint)
    files |= negative.all_files(mint, files)
    return {name: json.loads(negative.dump(content)) for name, content in files.items()}


def write():
    files = generate()
    (VECTORS / "negative").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (VECTORS / name).write_text(negative.dump(content), encoding="utf-8")
    for page in pages.all_pages():
        text, count = pages.renew(page, files)
        page.write_text(text, encoding="utf-8")
        print(f"{page.name}: {count} examples")
    print(sum(len(content["cases"]) for content in files.values()), "vectors written")
    return 0


def check():
    tally = Tally()
    for name, good in selftest.tests():
        tally(name, good)
    files = generate()
    there = {str(path.relative_to(VECTORS)) for path in VECTORS.rglob("*.json")} - {"schema.json"}
    tally("the files in spec/vectors/ are the generated ones", there == set(files))
    rules = json.loads((VECTORS / "schema.json").read_text(encoding="utf-8"))
    for name, content in files.items():
        path = VECTORS / name
        tally(f"{name}: as generated", path.exists() and path.read_text(encoding="utf-8") == negative.dump(content))
        found = schema.problems(rules, content)
        tally(f"{name}: schema {found[:3]}", not found)
        names = [case["name"] for case in content["cases"]]
        tally(f"{name}: names differ", len(set(names)) == len(names))
        for case in content["cases"]:
            if "error" in case:
                code = negative.run(case)
                tally(f"{name} {case['name']}: refused as {code}, not {case['error']}", code == case["error"])
                tally(f"{name} {case['name']}: a known code", case["error"] in errors.ALL)
    for case in files["http.json"]["cases"]:
        if "authorization" in case["output"]:
            challenge, _, frame, salt = http_scheme.parse_authorization(case["output"]["authorization"])
            good = challenge == case["input"]["challenge"] and frame.hex() == case["output"]["frame"]
            tally(f"http.json {case['name']}: header", good and http_scheme.subject(challenge, salt).hex() == case["output"]["subject"])
    refused = [case for name, content in files.items() if name.startswith("negative/") for case in content["cases"]]
    tally("at least 80 negative vectors", len(refused) >= 80)
    for page in pages.all_pages():
        text, _ = pages.renew(page, files)
        tally(f"{page.name}: examples as in the vectors", text == page.read_text(encoding="utf-8"))
    check_tables(tally)
    return tally.finish()


def check_tables(tally):
    """The pages' tables name every separator, frame and code, and nothing else."""
    text = (SPEC / "primitives.md").read_text(encoding="utf-8")
    tally("primitives.md: separators", re.findall(r"^\| `(farthing/1 [^`]+)`", text, re.M) == labels.ALL)
    text = (SPEC / "wire.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| ([\d,]+) \|", text, re.M)
    tally("wire.md: frames", [(int(kind), name, int(limit.replace(",", ""))) for kind, name, limit in rows]
          == [(frame.kind, frame.name, frame.limit) for frame in wire.FRAMES])
    sizes(tally, text)
    text = (SPEC / "errors.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.M)
    tally("errors.md: codes", sorted(listed) == sorted(set(errors.ALL) | {"refused-other", "refund-refused-other"}))


def sizes(tally, text):
    """The formulas of wire.md against the codec."""
    zero, proof = bytes(32), {"t": bytes(32), "u": bytes(32)}
    signature = {"r": zero, "s": zero, "t": zero}
    spent = {"keyset": zero, "denomination": 1, "key": zero}
    output = {"denomination": 1, "commitment": {"a": zero, "b": zero}, "response": {"b": zero, "y": zero, "z": zero}}
    for n, m, k in [(1, 1, 1), (3, 2, 5), (24, 24, 32)]:
        token = {"keyset": 0, "denomination": 1, "key": zero, "signature": signature}
        pay = {"amount": 1, "deposit_by": 1, "tokens": {"keysets": [zero] * m, "tokens": [token] * n}, "proof": proof}
        side = {"statement": zero, "list": [spent] * n, "proof": proof}
        body = {"published": 1, "currency": "eur", "decimals": 5, "windows": [1] * 5, "receipt_key": zero, "keys": [[1, zero]] * k, "proof": proof}
        for formula, expected, size in [
            ("98 + 32 m + 137 n", 98 + 32 * m + 137 * n, len(wire.PAYMENT.encode(pay))),
            ("16 + 32 m + 137 n", 16 + 32 * m + 137 * n, len(wire.TOKENS.encode(pay["tokens"]))),
            ("34 + 64 n", 34 + 64 * n, len(wire.OPEN_RESPONSE.encode(
                {"session": bytes(16), "expires": 1, "commitments": [{"a": zero, "b": zero}] * n}))),
            ("90 + 32 n", 90 + 32 * n, len(wire.ISSUE_REQUEST.encode({"session": bytes(16), "challenges": [zero] * n, "proof": proof}))),
            ("10 + 96 n", 10 + 96 * n, len(wire.ISSUE_RESPONSE.encode({"responses": [{"b": zero, "y": zero, "z": zero}] * n}))),
            ("170 + 2 (104 + 72 n)", 170 + 2 * (104 + 72 * n), len(wire.DOUBLE_SPEND.encode(
                {"token": spent, "signature": signature, "sides": [side, side]}))),
            ("104 + 72 n", 104 + 72 * n, len(wire.SIDE.encode(side))),
            ("164 + 40 k", 164 + 40 * k, len(wire.KEYSET.encode(body))),
            ("106 + n", 106 + n, len(wire.REFUND_REQUEST.encode({"payment": zero, "publisher": "n" * n, "proof": proof}))),
            ("126, refused 128", 128, len(wire.REFUND_RESPONSE.encode(
                {"mark": {"ledger": bytes(16), "sequence": 1}, "receipt_key": zero, "outcome": {"Refused": 1}, "proof": proof}))),
            ("40 + 168 n", 40 + 168 * n, len(wire.RECORDED_SESSION.encode({"recovery": zero, "outputs": [output] * n}))),
        ]:
            tally(f"wire.md: {formula} with n = {n}, m = {m}, k = {k}", formula in text and expected == size)
    largest = {"recipient": "n" * 260, "subject": zero, "payment": pay}
    size = len(wire.DEPOSIT_REQUEST.encode({"seen": {"ledger": bytes(16), "sequence": 1}, "payments": [largest] * 256}))
    tally(f"wire.md: the largest deposit has {size:,} bytes", f"{size:,} bytes" in text)
    session = {"recovery": zero, "outputs": [output] * 256}
    size = len(wire.RESTORE_BUCKET.encode({"keyset": zero, "bucket": 1, "sessions": [session] * 64}))
    tally(f"wire.md: the largest bucket has {size:,} bytes", f"{size:,} bytes" in text)


def main(arguments):
    if arguments == ["--check"]:
        return check()
    if len(arguments) == 2 and arguments[0] == "--accept":
        tally = Tally()
        for name, good in accept.tests(json.loads(pathlib.Path(arguments[1]).read_text(encoding="utf-8"))):
            tally(name, good)
        return tally.finish()
    if arguments:
        print(__doc__)
        return 2
    return write()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
