"""Defects of encoding: frames in both encodings, points and scalars, voucher codes."""

import json

import seed
import wire
from defects import IDENTITY, NEGATIVE_POINT, NON_CANONICAL_POINT, NON_CANONICAL_SCALAR, NON_SQUARE_POINT, vector
from world import rand


def frames(files):
    """Defects of encoding, for every kind of frame."""
    good = {}
    for one in files["frames.json"]["cases"]:
        good.setdefault(one["input"]["kind"], one["input"]["frame"])
    cases = []

    def add(name, error, harm, kind, data, **more):
        cases.append(vector("frame", name, "frame", error, harm, {"kind": kind, "frame": data, **more}))

    for kind, data in good.items():
        frame, other = wire.BY_KIND[kind], 1 + kind % len(wire.BY_KIND)
        short = frame.name.removesuffix("Frame")
        add(f"{short}-truncated", "frame-truncated", "a cut-off message is taken for a whole one", kind, data[:-1])
        trailing = "frame-too-long" if frame.limit == len(data) else "frame-trailing-bytes"
        add(f"{short}-trailing", trailing, "one value has many encodings: replay filters and logs disagree", kind, data + b"\0")
        add(f"{short}-wrong-kind", "frame-wrong-kind", "bytes made for one purpose are read as another", kind, bytes([1, other]) + data[2:])
        add(f"{short}-unknown-version", "frame-unknown-version", "rules of another version are applied", kind, b"\2" + data[1:])
        add(f"{short}-too-long", "frame-too-long", "a peer makes the reader decode without bound", kind, data[:64], pad_to=frame.limit + 1)
    add("empty-input", "frame-truncated", "reading beyond the input", 1, b"")
    add("version-without-kind", "frame-truncated", "reading beyond the input", 1, b"\1")
    huge = (2**64 - 1).to_bytes(8, "little")
    add("list-length-2-64", "frame-truncated", "memory is reserved for a list that is not there", 6, bytes([1, 6]) + huge)
    add("list-length-2-40", "frame-truncated", "memory is reserved for a list that is not there", 6, bytes([1, 6]) + (2**40).to_bytes(8, "little"))
    responses = good[6]
    count = int.from_bytes(responses[2:10], "little")
    add("list-length-one-more", "frame-truncated", "the reader takes what follows for an item", 6,
        responses[:2] + (count + 1).to_bytes(8, "little") + responses[10:])
    add("list-length-one-less", "frame-trailing-bytes", "an item is carried along unseen", 6,
        responses[:2] + (count - 1).to_bytes(8, "little") + responses[10:])
    deposit = good[7]
    at = 2 + 1 + 24 + 8
    assert deposit[2] == 1
    length = int.from_bytes(deposit[at:at + 8], "little")
    add("text-length-2-40", "frame-too-long", "memory is reserved for a text that is not there", 7,
        deposit[:at] + (2**40).to_bytes(8, "little") + deposit[at + 8:])
    add("text-length-beyond-input", "frame-truncated", "reading beyond the input", 7,
        deposit[:at] + (4 << 10 << 8).to_bytes(8, "little") + deposit[at + 8:])
    add("text-not-utf-8", "frame-malformed", "two implementations see different recipients", 7,
        deposit[:at + 8] + b"\xff" * length + deposit[at + 8 + length:])
    add("option-tag-2", "frame-malformed", "one value has many encodings", 7, deposit[:2] + b"\2" + deposit[3:])
    opened = good[3]
    at = 2 + 32 + 8 + 8 * int.from_bytes(opened[34:42], "little")
    add("funding-unknown-variant", "frame-malformed", "an unknown way of paying is taken for a known one", 3,
        opened[:at] + b"\5\0\0\0" + opened[at + 4:])
    answer = good[8]
    at = 2 + 24 + 32 + 8
    add("outcome-unknown-variant", "frame-malformed", "an unknown outcome is taken for a booking", 8,
        answer[:at] + b"\5\0\0\0" + answer[at + 4:])
    return cases + json_frames(files)


def json_frames(files):
    """Defects of the JSON encoding."""
    value = {case["input"]["kind"]: case["output"]["json"] for case in files["frames.json"]["cases"]}
    again, opened, answer = value[2], value[3], value[8]
    cases = []

    def add(name, harm, kind, text):
        text = text if isinstance(text, str) else json.dumps(text)
        cases.append(vector("frame", f"json-{name}", "frame-json", "frame-malformed", harm, {"kind": kind, "json": text}))

    one_text = "one value has many texts"
    proof = again["proof"]
    add("bytes-padded", one_text, 2, {**again, "payment": again["payment"] + "="})
    add("bytes-of-the-other-alphabet", one_text, 2, {**again, "payment": "+/" + again["payment"][2:]})
    # 32 bytes end in a digit with two spare bits.
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = digits[digits.index(again["payment"][-1]) + 1]
    add("bytes-with-trailing-bits", one_text, 2, {**again, "payment": again["payment"][:-1] + last})
    add("bytes-too-short", "a key is filled up with zeros", 2, {**again, "payment": wire.base64url(bytes(31))})
    add("bytes-too-long", "a key is cut off", 2, {**again, "payment": wire.base64url(bytes(33))})
    add("bytes-as-numbers", "types are guessed", 2, {**again, "payment": [0] * 31 + ["0"]})
    add("field-missing", "a proof is read as zeros", 2, {**again, "proof": {"t": proof["t"]}})
    add("field-twice", "first or last wins: implementations disagree", 2,
        '{"payment":"%s",' % again["payment"] + json.dumps(again)[1:])
    add("number-negative", "a price below nothing", 3, {**opened, "denominations": [-1]})
    add("number-fractional", "amounts in floating point", 3, {**opened, "denominations": [1.5]})
    add("number-above-64-bits", "a sum that wraps", 3, {**opened, "denominations": [2**64]})
    add("number-as-text", "types are guessed", 3, {**opened, "denominations": ["1"]})
    add("unknown-choice", "an unknown outcome is taken for a booking", 8, {**answer, "outcomes": ["Paid"]})
    add("two-choices", "an outcome is two things", 8, {**answer, "outcomes": [{"Credited": {"change": 1}, "Refused": 4}]})
    return cases


def groups():
    cases = []
    for name, type_, error, harm, data in [
        ("point-above-the-field", "point", "non-canonical-point", "two encodings of one key: a token is spent twice", NON_CANONICAL_POINT),
        ("point-with-top-bit", "point", "non-canonical-point", "two encodings of one key: a token is spent twice",
         bytes(31) + b"\x80"),
        ("point-negative", "point", "non-canonical-point", "two encodings of one key: a token is spent twice", NEGATIVE_POINT),
        ("point-not-on-the-curve", "point", "non-canonical-point", "arithmetic outside the group", NON_SQUARE_POINT),
        ("point-identity", "point", "identity-point", "with the identity as key anybody can sign and spend", IDENTITY),
        ("scalar-is-l", "scalar", "non-canonical-scalar", "one signature has many encodings", NON_CANONICAL_SCALAR),
        ("scalar-all-ones", "scalar", "non-canonical-scalar", "one signature has many encodings", b"\xff" * 32),
        ("non-zero-scalar-is-zero", "non-zero-scalar", "zero-scalar", "t = 0 drops the part that makes signatures one-more unforgeable",
         bytes(32)),
        ("non-zero-scalar-is-l", "non-zero-scalar", "non-canonical-scalar", "l is zero in another encoding", NON_CANONICAL_SCALAR),
    ]:
        cases.append(vector("group", name, "group", error, harm, {"type": type_, "bytes": data}))
    return cases


def vouchers():
    code = rand("voucher", 16)
    text = seed.voucher_text(code)
    last = "8" if text[-1] == "7" else "7"
    cases = []
    for name, error, harm, typed in [
        ("empty", "voucher-malformed", "reading beyond the text", ""),
        ("one-character-missing", "voucher-malformed", "a key nobody has", text[:-1]),
        ("one-character-too-many", "voucher-malformed", "one voucher has many codes", text + "0"),
        ("wrong-prefix", "voucher-malformed", "another product's code is tried", "fx" + text[2:]),
        ("letter-u", "voucher-malformed", "a letter outside the alphabet is guessed", text[:2] + "7" + text[3:-1] + "u"),
        ("non-ascii", "voucher-malformed", "look-alike letters are guessed", text[:-1] + "\u0430"),
        ("more-than-128-bits", "voucher-malformed", "one voucher has many codes", "fv8" + text[3:]),
        ("last-character-changed", "voucher-mistyped", "a typing error is sent to the mint", text[:-1] + last),
        ("two-characters-exchanged", "voucher-mistyped", "a typing error is sent to the mint", exchanged(text)),
    ]:
        cases.append(vector("voucher", name, "voucher", error, harm, {"text": typed}))
    return cases


def exchanged(text):
    """Two neighbouring different characters change places."""
    for i in range(10, len(text) - 6):
        if "-" not in text[i:i + 2] and text[i] != text[i + 1]:
            return text[:i] + text[i + 1] + text[i] + text[i + 2:]
    raise AssertionError
