"""The negative vectors: one defect each, named by it, with the code that refuses it and the harm if nothing did.

`build` makes them; `run` executes one with the reference and returns the code it was refused with (None if it was accepted).
"""

import copy
import json

import evidence
import http_scheme
import issue
import keysets
import payment
import positive
import proofs
import ristretto
import seed
import settle
import snowblind
import wire
import world
from errors import Refused
from positive import SUBJECT, token_json
from ristretto import L
from world import DAY, START, prove_tokens, public, rand, scalar, spent_of

NON_CANONICAL_SCALAR = L.to_bytes(32, "little")
NON_CANONICAL_POINT = bytes.fromhex("f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
NEGATIVE_POINT = bytes.fromhex("01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
NON_SQUARE_POINT = bytes.fromhex("26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371")
IDENTITY = bytes(32)

# ---------------------------------------------------------------------------------------------------------------- running


def run(case):
    """The code one vector is refused with by the reference."""
    try:
        OPERATIONS[case["operation"]](case["input"])
    except Refused as error:
        return error.code
    return None


def raw(text):
    return bytes.fromhex(text)


def run_frame(given):
    data = raw(given["frame"])
    wire.BY_KIND[given["kind"]].decode(data + bytes(max(0, given.get("pad_to", 0) - len(data))))


def run_frame_json(given):
    wire.BY_KIND[given["kind"]].decode_json(given["json"])


def run_group(given):
    decode = {"point": ristretto.decode_point, "scalar": ristretto.decode_scalar, "non-zero-scalar": ristretto.decode_non_zero_scalar}
    decode[given["type"]](raw(given["bytes"]))


def the_list(given):
    return keysets.verify(wire.KEYSET_LIST.decode(raw(given["list"])), raw(given["root"]))


def run_payment(given):
    payment.check_structure(wire.PAYMENT.decode(raw(given["frame"])))


def run_deposit(given):
    for body in wire.DEPOSIT_REQUEST.decode(raw(given["frame"]))["payments"]:
        payment.check_structure(body["payment"])
        payment.check_recipient(body["recipient"])


def run_spend(given):
    payment.verify(wire.PAYMENT.decode(raw(given["frame"])), given["recipient"], raw(given["subject"]), the_list(given))


def run_batch(given):
    list_, codes = the_list(given), []
    for one in given["payments"]:
        try:
            payment.verify(wire.PAYMENT.decode(raw(one["frame"])), one["recipient"], raw(one["subject"]), list_)
            codes.append(None)
        except Refused as error:
            codes.append(error.code)
    assert codes == given["codes"], codes
    raise Refused(next(code for code in codes if code))


def run_keysets(given):
    root = raw(given["root"])
    if "known" in given:
        keysets.follow(keysets.verify(wire.KEYSET_LIST.decode(raw(given["known"])), root), wire.KEYSET_LIST.decode(raw(given["frame"])))
    else:
        keysets.verify(wire.KEYSET_LIST.decode(raw(given["frame"])), root)


def run_evidence(given):
    evidence.verify(wire.DOUBLE_SPEND.decode(raw(given["frame"])), the_list(given))


def run_open(given):
    issue.Open(wire.OPEN_REQUEST.decode(raw(given["frame"]))).verify(raw(given["root"]), the_list(given))


def run_issue(given):
    opened = issue.Open(wire.OPEN_REQUEST.decode(raw(given["open"])))
    opened.verify(raw(given["root"]), the_list(given))
    issue.check_issue(wire.ISSUE_REQUEST.decode(raw(given["frame"])), raw(given["root"]), opened)


def run_blind(given):
    opened = wire.OPEN_RESPONSE.decode(raw(given["opened"]))
    return issue.blind(raw(given["seed"]), raw(given["root"]), raw(given["keyset"]), the_list(given), given["denominations"],
                       given["first_index"], opened)


def run_unblind(given):
    issue.unblind(raw(given["keyset"]), run_blind(given), wire.ISSUE_RESPONSE.decode(raw(given["frame"])))


def run_answer(given):
    expected = [(raw(one["id"]), one["change"]) for one in given["payments"]]
    settle.verify(wire.DEPOSIT_RESPONSE.decode(raw(given["frame"])), expected, the_list(given))


def run_http_payment(given):
    subject = http_scheme.subject(given["challenge"], raw(given["salt"]))
    payment.verify(wire.PAYMENT.decode(raw(given["frame"])), given["recipient"], subject, the_list(given))


def run_http_reread(given):
    subject = http_scheme.subject(given["challenge"], b"")
    s = proofs.statement(given["recipient"].encode(), 0, 0, subject)
    frame = wire.REREAD.decode(raw(given["frame"]))
    proofs.verify("reread", s, proofs.Tokens([(raw(k["keyset"]), k["denomination"], raw(k["key"])) for k in given["keys"]]), frame["proof"])


OPERATIONS = {
    "frame": run_frame, "frame-json": run_frame_json, "group": run_group, "payment": run_payment, "deposit": run_deposit, "spend": run_spend, "batch": run_batch,
    "keysets": run_keysets, "evidence": run_evidence, "open": run_open, "issue": run_issue, "blind": run_blind,
    "unblind": run_unblind, "answer": run_answer, "http-payment": run_http_payment, "http-reread": run_http_reread,
    "http-payload": lambda given: http_scheme.parse_payload(given["json"]),
    "http-request": lambda given: http_scheme.parse_request(given["json"]),
    "voucher": lambda given: seed.voucher_parse(given["text"]),
}

# ---------------------------------------------------------------------------------------------------------------- building


def vector(layer, name, operation, error, harm, input_):
    return {"name": name, "layer": layer, "operation": operation, "error": error, "harm": harm, "input": input_}


def changed(value, change):
    """A deep copy with one change."""
    value = copy.deepcopy(value)
    change(value)
    return value


def flip(data):
    return bytes([data[0] ^ 1]) + data[1:]


def plus(scalar_bytes, delta):
    return ristretto.encode_scalar(int.from_bytes(scalar_bytes, "little") + delta)


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
        opened[:at] + b"\3\0\0\0" + opened[at + 4:])
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


def structures(mint):
    """Payments that are refused before any curve arithmetic."""
    tokens, recipient, amount = positive.payments(mint)["mixed-keysets"]
    good, _, _ = world.payment_of(mint, tokens, recipient, amount, SUBJECT, "mixed-keysets")
    cases = []

    def add(name, error, harm, change):
        data = wire.PAYMENT.encode(changed(good, change))
        cases.append(vector("payment", name, "payment", error, harm, {"frame": data}))

    def body(change):
        return lambda frame: change(frame["tokens"])

    def many(frame):
        frame["tokens"]["keysets"] = frame["tokens"]["keysets"][:1]
        frame["tokens"]["tokens"] = [dict(frame["tokens"]["tokens"][0], keyset=0, denomination=1, key=n.to_bytes(32, "big"))
                                     for n in range(25)]

    def overflow(frame):
        for token in frame["tokens"]["tokens"][-2:]:
            token["keyset"], token["denomination"] = 1, 2**63
        frame["tokens"]["tokens"][-2:] = sorted(frame["tokens"]["tokens"][-2:], key=lambda token: token["key"])

    def set_signature(name, value):
        return body(lambda tokens: tokens["tokens"][1]["signature"].update({name: value}))

    add("no-tokens", "payment-empty", "an article for nothing", body(lambda t: t.update(keysets=[], tokens=[])))
    add("twenty-five-tokens", "payment-too-many-tokens", "a payment that costs more to check than it is worth", many)
    add("token-twice", "payment-duplicate-token", "one token pays twice in one payment",
        body(lambda t: t["tokens"].insert(1, copy.deepcopy(t["tokens"][0]))))
    add("tokens-swapped", "payment-not-sorted", "one payment has many encodings", body(lambda t: t["tokens"].insert(0, t["tokens"].pop(1))))
    add("keysets-swapped", "payment-not-sorted", "one payment has many encodings", body(lambda t: t["keysets"].reverse()))
    add("keyset-twice", "payment-not-sorted", "one token is two different ones by its index",
        body(lambda t: t["keysets"].insert(1, t["keysets"][0])))
    add("keyset-unused", "payment-not-sorted", "one payment has many encodings; a mark that traces it", body(
        lambda t: t["keysets"].append(b"\xff" * 32)))
    add("keyset-index-outside", "payment-keyset-index", "reading beyond the table", body(lambda t: t["tokens"][-1].update(keyset=2)))
    add("denomination-zero", "payment-zero-amount", "worthless tokens fill a payment", body(lambda t: t["tokens"][0].update(denomination=0)))
    add("amount-zero", "payment-zero-amount", "an article for nothing", lambda frame: frame.update(amount=0))
    add("sum-overflows", "payment-overflow", "two huge tokens wrap around to the price", overflow)
    add("amount-above-value", "payment-insufficient", "the publisher is paid less than the price", lambda frame: frame.update(amount=722))
    add("signature-s-not-canonical", "payment-non-canonical-scalar", "one payment has many encodings", set_signature("s", NON_CANONICAL_SCALAR))
    add("signature-t-not-canonical", "payment-non-canonical-scalar", "one payment has many encodings", set_signature("t", NON_CANONICAL_SCALAR))
    add("signature-t-zero", "payment-zero-scalar", "the part that makes signatures one-more unforgeable drops out", set_signature("t", bytes(32)))
    add("proof-u-not-canonical", "payment-non-canonical-scalar", "one payment has many encodings",
        lambda frame: frame["proof"].update(u=NON_CANONICAL_SCALAR))
    data = wire.DEPOSIT_REQUEST.encode({"seen": None, "payments": [{"recipient": "n" * 261, "subject": SUBJECT, "payment": good}]})
    cases.append(vector("payment", "recipient-of-261-bytes", "deposit", "payment-recipient-too-long",
                        "names without bound in the ledger", {"frame": data}))
    return cases


def spends(mint, context):
    """Well-formed payments that do not verify."""
    tokens, recipient, amount = positive.payments(mint)["mixed-keysets"]
    good, s, _ = world.payment_of(mint, tokens, recipient, amount, SUBJECT, "mixed-keysets")
    cases = []

    def add(name, error, harm, frame, recipient=recipient, subject=SUBJECT):
        given = {**context, "frame": wire.PAYMENT.encode(frame), "recipient": recipient, "subject": subject}
        cases.append(vector("proof", name, "spend", error, harm, given))

    def token(index, **update):
        return changed(good, lambda frame: frame["tokens"]["tokens"][index].update(update))

    def signature(index, **update):
        return changed(good, lambda frame: frame["tokens"]["tokens"][index]["signature"].update(update))

    def proof(**update):
        return changed(good, lambda frame: frame["proof"].update(update))

    one = [mint.token(0, 500, "one")]
    single, s_one, _ = world.payment_of(mint, one, "news.example", 500, SUBJECT, "one-token")
    other_mint = world.Mint("other mint")
    other_mint.announce(START, START)
    foreign, _, _ = world.payment_of(other_mint, [other_mint.token(0, 500, "foreign")], "news.example", 500, SUBJECT, "foreign")
    add("keyset-of-another-mint", "unknown-keyset", "another mint's money is taken for this one's", foreign, "news.example")
    add("keyset-copied-by-another-mint", "invalid-signature", "a token of one mint pays at another",
        changed(foreign, lambda f: f["tokens"].update(keysets=[mint.list.ids[0]])), "news.example")
    add("denomination-not-announced", "unknown-denomination", "a value nobody signed", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(denomination=501)), "news.example")
    add("denomination-raised", "invalid-signature", "a cent is spent as a euro", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(denomination=100_000)), "news.example")
    add("keyset-exchanged", "invalid-signature", "a token of a closed keyset lives on", changed(
        single, lambda f: f["tokens"].update(keysets=[mint.list.ids[1]])), "news.example")
    add("signature-r-not-canonical", "invalid-point", "one signature has many encodings", signature(0, r=NON_CANONICAL_POINT))
    add("signature-r-identity", "invalid-point", "a signature without commitment", signature(0, r=IDENTITY))
    add("token-key-not-canonical", "invalid-point", "one token under two spent keys", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(key=NON_CANONICAL_POINT)), "news.example")
    add("token-key-identity", "invalid-point", "anybody knows the secret of the identity", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(key=IDENTITY)), "news.example")
    add("proof-t-not-canonical", "invalid-point", "one proof has many encodings", proof(t=NON_CANONICAL_POINT))
    add("proof-t-identity", "invalid-point", "a proof without nonce", proof(t=IDENTITY))
    add("signature-s-changed", "invalid-signature", "a forged token is spent", signature(2, s=plus(
        good["tokens"]["tokens"][2]["signature"]["s"], 1)))
    add("signature-t-negated", "invalid-signature", "one signature makes another", signature(2, t=ristretto.encode_scalar(
        -int.from_bytes(good["tokens"]["tokens"][2]["signature"]["t"], "little"))))
    add("signatures-exchanged", "invalid-signature", "one signature serves two tokens", changed(good, lambda f: f["tokens"]["tokens"][0].update(
        signature=f["tokens"]["tokens"][1]["signature"])))
    add("message-exchanged", "invalid-signature", "a stranger's key under a bought signature", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(key=public(scalar("stranger")))), "news.example")
    add("proof-u-changed", "invalid-proof", "tokens are spent without their keys", proof(u=plus(good["proof"]["u"], 1)))
    add("recipient-exchanged", "invalid-proof", "a publisher deposits a payment made to another", good, "thief.example")
    add("subject-exchanged", "invalid-proof", "a payment opens another article", good, subject=rand("other subject", 32))
    add("amount-raised", "invalid-proof", "the publisher takes the change", dict(good, amount=amount + 1))
    add("amount-lowered", "invalid-proof", "somebody takes part of the price as change", dict(good, amount=amount - 1))
    add("deadline-moved", "invalid-proof", "a payment is deposited after the reader refreshed its tokens", dict(
        good, deposit_by=good["deposit_by"] + 1))
    add("token-left-out", "invalid-proof", "somebody splits a payment", changed(
        good, lambda f: f["tokens"]["tokens"].pop(1)) | {"amount": 100})
    for purpose in ("refresh", "change", "reread"):
        add(f"proof-of-purpose-{purpose}", "invalid-proof", "a proof shown for one purpose pays for another", dict(
            single, proof=prove_tokens(purpose, s_one, one, f"{purpose} as pay")), "news.example")
    two = sorted([mint.token(0, 500, "one"), mint.token(0, 20, "many d")], key=lambda t: t[0])
    two_frame, s_two, _ = world.payment_of(mint, two, "news.example", 520, SUBJECT, "two")
    add("proof-by-half-the-keys", "invalid-proof", "a payment carries a stranger's token", dict(two_frame, proof=half_proof(s_two, two)), "news.example")
    shared, frame = shared_coefficient(mint)
    add("proof-with-one-shared-coefficient", "invalid-proof", "with one shared e a stranger's token can be spent", frame, shared)
    add("proof-of-a-lone-key", "invalid-proof", "a voucher's proof pays as a token's", dict(
        single, proof=proofs.prove("pay", s_one, proofs.Lone(one[0][0][2]), [one[0][2]], rand("lone as pay", 32))), "news.example")
    return cases + batches(mint, context)


def half_proof(s, tokens):
    """A proof over the whole list by a prover who knows all keys but the last."""
    list_ = proofs.Tokens([t[0] for t in tokens])
    nonce = scalar("half proof")
    t = public(nonce)
    e = proofs.coefficients(proofs.transcript_of("pay", s, list_), t, len(tokens))
    u = nonce + sum(a * token[2] for a, token in list(zip(e, tokens))[:-1])
    return {"t": t, "u": ristretto.encode_scalar(u)}


def shared_coefficient(mint):
    """A thief's proof that would hold if all e_i were e_1: own token's key P_1 = P' - P_2 with P_2 a stranger's token.

    The thief cannot get P_1 signed without knowing it, so it asks the mint for a signature on P_1 = k'G - P_2: blind issuing lets it.
    """
    stranger = mint.token(0, 20, "many d")
    keyset, denomination = mint.list.ids[0], 500
    k_prime, x = scalar("shared k"), mint.secrets[keyset, denomination]
    message = (k_prime * ristretto.G - ristretto.decode(stranger[0][2])).encode()
    a, b, y, r, alpha, beta = (scalar(f"shared {name}") for name in ("a", "b", "y", "r", "alpha", "beta"))
    commitment = snowblind.commit(a, b, y)
    r_point, c = snowblind.blind(keyset, denomination, public(x), commitment, message, r, alpha, beta)
    signature = snowblind.unblind(public(x), commitment, r, alpha, r_point, c, snowblind.respond(x, a, b, y, c))
    tokens = sorted([((keyset, denomination, message), signature), (stranger[0], stranger[1])], key=lambda t: t[0])
    s = proofs.statement(b"thief.example", 520, START + 61 * DAY, SUBJECT)
    list_ = proofs.Tokens([t[0] for t in tokens])
    nonce = scalar("shared nonce")
    e = proofs.coefficients(proofs.transcript_of("pay", s, list_), public(nonce), 2)
    proof = {"t": public(nonce), "u": ristretto.encode_scalar(nonce + e[0] * k_prime)}
    frame = {"amount": 520, "deposit_by": START + 61 * DAY, "tokens": payment.tokens_to_body(tokens), "proof": proof}
    return "thief.example", frame


def batches(mint, context):
    """Errors that cancel if equations share a weight."""
    made = []
    for label in ("one", "http"):
        made.append(world.payment_of(mint, [mint.token(0, 500, label)], "news.example", 500, SUBJECT, f"batch {label}")[0])
    cases = []

    def add(name, harm, payments, codes):
        given = {**context, "payments": [{"frame": wire.PAYMENT.encode(p), "recipient": "news.example", "subject": SUBJECT}
                                         for p in payments], "codes": codes}
        cases.append(vector("proof", name, "batch", next(code for code in codes if code), harm, given))

    def shift(frame, delta):
        token = frame["tokens"]["tokens"][0]["signature"]
        return changed(frame, lambda f: f["tokens"]["tokens"][0]["signature"].update(s=plus(token["s"], delta)))

    def shift_proof(frame, delta):
        return changed(frame, lambda f: f["proof"].update(u=plus(frame["proof"]["u"], delta)))

    add("batch-errors-cancel-between-payments", "one weight for the batch accepts two forged tokens",
        [shift(made[0], 1), shift(made[1], -1)], ["invalid-signature"] * 2)
    add("batch-errors-cancel-within-a-payment", "one weight for a payment accepts a forged token under a false proof",
        [shift_proof(shift(made[0], 1), -1), made[1]], ["invalid-signature", None])
    add("batch-proofs-cancel-between-payments", "one weight for all proofs accepts tokens without their keys",
        [shift_proof(made[0], 1), shift_proof(made[1], -1)], ["invalid-proof"] * 2)
    return cases


def raw_list(mint, bodies, secret=None, numbers=None):
    """A list signed entry by entry without checking any rule: what a malicious mint can make."""
    head, out = bytes(32), []
    for number, body in enumerate(bodies):
        transcript_body = {name: value for name, value in body.items() if name != "proof"}
        id_ = raw_id(mint.root, number, transcript_body)
        head = keysets.next_head(head, number, id_)
        s = keysets.announcement(mint.root, number if numbers is None else numbers[number], head)
        proof = proofs.prove("announce", s, proofs.Lone(mint.root), [secret or mint.root_secret], rand(f"raw list {number}", 32))
        out.append(dict(transcript_body, proof=proof))
    return {"root": mint.root, "keysets": out}


def raw_id(root, number, body):
    """keyset_id without the rule about units."""
    unit_name = keysets.unit_name
    keysets.unit_name = lambda currency, decimals: f"{currency}/{10 ** decimals}"
    try:
        return keysets.keyset_id(root, number, body)
    finally:
        keysets.unit_name = unit_name


def lists(mint):
    few = [500, 1000]
    first = mint.proposal(START, START, few, 0)
    second = mint.proposal(START + 20 * DAY, START + 28 * DAY, few, 1)
    cases = []

    def add(name, error, harm, frame, **more):
        given = {"root": mint.root, "frame": wire.KEYSET_LIST.encode(frame), **more}
        cases.append(vector("keysets", name, "keysets", error, harm, given))

    def add_first(name, error, harm, **update):
        add(name, error, harm, raw_list(mint, [{**first, **update}]))

    def add_second(name, error, harm, **update):
        add(name, error, harm, raw_list(mint, [first, {**second, **update}]))

    def at(offset, *bounds):
        return [START + offset + bound * DAY for bound in bounds]

    good = raw_list(mint, [first, second])
    other = world.Mint("other mint")
    add("root-of-another-mint", "keyset-wrong-root", "a reader's money goes to another mint", raw_list(other, [first]))
    add("no-keysets", "keyset-empty-list", "a reader believes that the mint has no keys", {"root": mint.root, "keysets": []})
    add("signature-changed", "keyset-invalid-signature", "anybody announces keys", changed(
        good, lambda f: f["keysets"][1]["proof"].update(u=plus(f["keysets"][1]["proof"]["u"], 1))))
    add("signature-u-not-canonical", "keyset-invalid-signature", "one list has many encodings", changed(
        good, lambda f: f["keysets"][1]["proof"].update(u=NON_CANONICAL_SCALAR)))
    add("signature-t-identity", "keyset-invalid-signature", "a signature without nonce", changed(
        good, lambda f: f["keysets"][1]["proof"].update(t=IDENTITY)))
    add("signed-by-another-key", "keyset-invalid-signature", "anybody announces keys", raw_list(mint, [first], scalar("stranger")))
    add("signed-for-another-number", "keyset-invalid-signature", "keysets are put in another order", raw_list(mint, [first], numbers=[1]))
    add("keyset-left-out", "keyset-invalid-signature", "a keyset is hidden from one reader", {
        "root": mint.root, "keysets": [dict(good["keysets"][1])]})
    add("window-changed", "keyset-invalid-signature", "a keyset is kept open for one reader", changed(
        good, lambda f: f["keysets"][0].update(windows=first["windows"][:4] + [first["windows"][4] + 1])))
    key = first["keys"][0][1]
    add_first("key-not-canonical", "keyset-invalid-key", "one key under two names", keys=[[500, NON_CANONICAL_POINT], first["keys"][1]])
    add_first("key-identity", "keyset-invalid-key", "anybody signs with the identity", keys=[[500, IDENTITY], first["keys"][1]])
    add_first("receipt-key-identity", "keyset-invalid-key", "anybody signs deposit answers", receipt_key=IDENTITY)
    add_first("key-twice-in-a-keyset", "keyset-repeated-key", "a small token is spent as a big one", keys=[[500, key], [1000, key]])
    add_second("key-of-an-earlier-keyset", "keyset-repeated-key", "a token of an old keyset is spent in the new one too",
               keys=[[500, key], second["keys"][1]])
    add_second("receipt-key-of-an-earlier-keyset", "keyset-repeated-key", "answers outlive their keyset", receipt_key=first["receipt_key"])
    add_first("root-key-as-denomination", "keyset-repeated-key", "issuing tokens signs announcements", keys=[[500, mint.root], first["keys"][1]])
    add_first("receipt-key-as-denomination", "keyset-repeated-key", "issuing tokens signs deposit answers",
              keys=[[500, first["receipt_key"]], first["keys"][1]])
    add_first("no-denominations", "keyset-invalid-denominations", "a keyset without keys", keys=[])
    add_first("denomination-zero", "keyset-invalid-denominations", "worthless tokens", keys=[[0, key], first["keys"][1]])
    add_first("denominations-not-sorted", "keyset-invalid-denominations", "one keyset under two ids", keys=first["keys"][::-1])
    add_first("denomination-twice", "keyset-invalid-denominations", "two keys for one value trace a reader",
              keys=[first["keys"][0], [500, first["keys"][1][1]]])
    add_first("thirty-three-denominations", "keyset-invalid-denominations", "small anonymity sets; big tables",
              keys=[[d, public(scalar(f"many {d}"))] for d in range(1, 34)])
    add_first("currency-upper-case", "keyset-invalid-unit", "one unit under two names", currency="EUR")
    add_first("currency-of-four-letters", "keyset-invalid-unit", "one unit under two names", currency="euro")
    add_first("ten-decimals", "keyset-invalid-unit", "amounts people cannot read", decimals=10)
    add_first("windows-not-ascending", "keyset-invalid-windows", "tokens that cannot be spent",
              windows=at(0, 0, 30, 20, 90, 120))
    add_first("issues-six-days", "keyset-invalid-windows", "a keyset per reader, soon gone", windows=at(0, 0, 6, 60, 90, 120))
    add_second("published-hours-ahead", "keyset-published-late", "a keyset appears for one reader at the moment it buys",
               published=START + 28 * DAY - 3600)
    add_second("published-before-its-predecessor", "keyset-published-late", "history is rewritten", published=START - 1)
    third = mint.proposal(START + 20 * DAY, START + 29 * DAY, few, 2)
    add("three-issue-at-once", "keyset-too-many-issuing", "every reader buys from keys of its own", raw_list(mint, [first, second, third]))
    known = raw_list(mint, [first, second])
    add("list-shortened", "keyset-shortened", "the mint takes an announcement back", raw_list(mint, [first]),
        known=wire.KEYSET_LIST.encode(known))
    fork = raw_list(mint, [first, {**second, "published": second["published"] + 1}])
    add("list-forked", "keyset-forked", "one list for one reader, another for all", fork, known=wire.KEYSET_LIST.encode(known))
    return cases


def evidences(mint, context):
    good, (first, second), statements = positive.double_spend(mint)
    sides = {evidence.side_id(side): number for number, side in enumerate(good["sides"])}
    by_first = sides[proofs.payment_id(statements[0], spent_of(first))]
    cases = []

    def add(name, error, harm, frame):
        cases.append(vector("evidence", name, "evidence", error, harm, {**context, "frame": wire.DOUBLE_SPEND.encode(frame)}))

    def side(number, **update):
        return changed(good, lambda f: f["sides"][number].update(update))

    def ordered(frame):
        return dict(frame, sides=sorted(frame["sides"], key=evidence.side_id))

    add("same-payment-twice", "evidence-same-payment", "sending a payment again is called a double-spend", dict(good, sides=[good["sides"][0]] * 2))
    innocent = [mint.token(0, 20, "many d")]
    frame, s, _ = world.payment_of(mint, innocent, "news.example", 20, SUBJECT, "innocent")
    add("token-in-one-list-only", "evidence-not-shared", "two honest payments accuse a reader", evidence.make(
        first[0][0], first[0][1], [good["sides"][by_first], evidence.side_of(s, spent_of(innocent), frame["proof"])]))
    add("list-empty", "evidence-invalid-list", "a list says nothing", side(0, list=[]))
    add("list-of-twenty-five", "evidence-invalid-list", "lists no payment can have", side(0, list=[
        {"keyset": bytes(32), "denomination": 1, "key": n.to_bytes(32, "big")} for n in range(25)]))
    long = 1 - by_first
    add("list-not-sorted", "evidence-invalid-list", "one payment has many ids, and one payment looks like two", side(
        long, list=good["sides"][long]["list"][::-1]))
    add("list-with-a-token-twice", "evidence-invalid-list", "one payment has many ids", side(
        by_first, list=good["sides"][by_first]["list"] * 2))
    add("sides-in-wrong-order", "evidence-invalid-list", "one proof has two encodings", dict(good, sides=good["sides"][::-1]))
    add("signature-changed", "evidence-invalid-signature", "a reader is accused with a token that never existed", changed(
        good, lambda f: f["signature"].update(s=plus(f["signature"]["s"], 1))))
    add("signature-s-not-canonical", "evidence-invalid-signature", "one proof has many encodings", changed(
        good, lambda f: f["signature"].update(s=NON_CANONICAL_SCALAR)))
    add("signature-t-zero", "evidence-invalid-signature", "a forged signature accuses", changed(good, lambda f: f["signature"].update(t=bytes(32))))
    add("signature-r-identity", "evidence-invalid-signature", "a signature without commitment", changed(
        good, lambda f: f["signature"].update(r=IDENTITY)))
    add("proof-changed", "evidence-invalid-proof", "a payment nobody made accuses", side(0, proof=dict(
        good["sides"][0]["proof"], u=plus(good["sides"][0]["proof"]["u"], 1))))
    add("proof-u-not-canonical", "evidence-invalid-proof", "one proof has many encodings", side(0, proof=dict(
        good["sides"][0]["proof"], u=NON_CANONICAL_SCALAR)))
    add("proof-t-identity", "evidence-invalid-proof", "a proof without nonce", side(0, proof=dict(good["sides"][0]["proof"], t=IDENTITY)))
    refresh = prove_tokens("refresh", statements[0], first, "evidence refresh")
    add("refresh-as-a-side", "evidence-invalid-proof", "a payment and a refresh are called a double-spend", side(by_first, proof=refresh))
    framed = {"keyset": mint.list.ids[0], "denomination": 20, "key": innocent[0][0][2]}
    forged = changed(good, lambda f: f["sides"][by_first].update(list=sorted(
        f["sides"][by_first]["list"] + [framed], key=lambda k: (k["keyset"], k["denomination"], k["key"]))))
    other_side = evidence.side_of(s, spent_of(innocent), frame["proof"])
    add("innocent-token-put-into-a-list", "evidence-invalid-proof", "any reader is framed by a list it never signed", ordered(
        dict(forged, token=framed, signature=innocent[0][1], sides=[forged["sides"][by_first], other_side])))
    s_exchanged = side(0, statement=rand("opaque", 32))
    add("statement-exchanged", "evidence-invalid-proof", "one payment looks like two", ordered(s_exchanged))
    foreign = changed(good, lambda f: [f["token"].update(keyset=rand("foreign keyset", 32))] + [
        side_["list"].__setitem__(slice(None), sorted([dict(key, keyset=f["token"]["keyset"]) if key["key"] == first[0][0][2] else key
                                                       for key in side_["list"]],
                                                      key=lambda k: (k["keyset"], k["denomination"], k["key"])))
        for side_ in f["sides"]])
    add("keyset-not-announced", "evidence-unknown-key", "accusations about money of another mint", ordered(foreign))
    raised = changed(good, lambda f: [f["token"].update(denomination=501)] + [
        key.update(denomination=501) for side_ in f["sides"] for key in side_["list"] if key["key"] == first[0][0][2]])
    add("denomination-not-announced", "evidence-unknown-key", "accusations about money that does not exist", ordered(raised))
    return cases


def issues(mint, made, context):
    cases = []
    sessions = {name: session for name, (session, _) in made.items()}
    bought, refresh, change = sessions["voucher"], sessions["refresh"], sessions["change"]
    secret, voucher_key = seed.voucher_key(rand("voucher", 16))

    def add_open(name, error, harm, frame):
        cases.append(vector("issue", f"open-{name}", "open", error, harm, {**context, "frame": wire.OPEN_REQUEST.encode(frame)}))

    def opening(session, **update):
        return changed(session["request"], lambda f: f.update(update))

    def proved(denominations, funding=None, list_=None, secrets=None, root=mint.root, digest=None):
        """A voucher's open request with a proof that fits whatever is asked for."""
        keyset, recovery = bought["keyset"], bought["recovery"]
        digest = digest or issue.open_digest(keyset, denominations, "Voucher", recovery)
        s = proofs.statement(root, sum(denominations) % 2**64, 0, digest)
        proof = proofs.prove("voucher", s, list_ or proofs.Lone(voucher_key), secrets or [secret], rand("proved", 32))
        return {"keyset": keyset, "denominations": denominations, "funding": funding or {"Voucher": voucher_key}, "recovery": recovery,
                "proof": proof}

    add_open("no-outputs", "issue-output-count", "sessions that cost the mint work and nobody anything", proved([]))
    add_open("outputs-257", "issue-output-count", "a session that holds the mint's memory", proved([1] * 257))
    add_open("denominations-not-sorted", "issue-invalid-denominations", "one plan has many digests; an order that traces", proved([500, 200]))
    add_open("denomination-zero", "issue-invalid-denominations", "signatures for nothing", proved([0, 500]))
    add_open("sum-overflows", "issue-amount-mismatch", "a sum that wraps buys a fortune for nothing", proved([2**63, 2**63]))
    add_open("refresh-into-more", "issue-amount-mismatch", "a refresh makes money", opening(refresh, denominations=[500, 500, 1000]))
    add_open("refresh-into-less", "issue-amount-mismatch", "a refresh loses a reader's money", opening(refresh, denominations=[500, 500]))
    add_open("voucher-key-identity", "issue-invalid-encoding", "anybody spends the voucher", opening(bought, funding={"Voucher": IDENTITY}))
    add_open("voucher-key-not-canonical", "issue-invalid-encoding", "one voucher under two names", opening(
        bought, funding={"Voucher": NON_CANONICAL_POINT}))
    add_open("proof-u-not-canonical", "issue-invalid-encoding", "one request has many encodings", changed(
        bought["request"], lambda f: f["proof"].update(u=NON_CANONICAL_SCALAR)))
    add_open("refresh-without-tokens", "issue-invalid-funding", "tokens for nothing", opening(
        refresh, funding={"Refresh": {"keysets": [], "tokens": []}}))
    add_open("refresh-tokens-not-sorted", "issue-invalid-funding", "one refresh has many encodings", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"]["tokens"].reverse()))
    add_open("refresh-token-twice", "issue-invalid-funding", "one token buys two", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"]["tokens"].__setitem__(
            1, copy.deepcopy(f["funding"]["Refresh"]["tokens"][0]))))
    add_open("refresh-signature-t-zero", "issue-invalid-funding", "a forged token is exchanged for a true one", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"]["tokens"][0]["signature"].update(t=bytes(32))))
    add_open("change-of-no-tokens", "issue-invalid-funding", "change of a payment nobody made", changed(
        change["request"], lambda f: f["funding"]["Change"].update(list=[])))
    add_open("change-list-with-a-token-twice", "issue-invalid-funding", "one payment has many ids: its change is taken twice", changed(
        change["request"], lambda f: f["funding"]["Change"]["list"].extend(f["funding"]["Change"]["list"])))
    add_open("refresh-signature-changed", "invalid-signature", "a forged token is exchanged for a true one", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"]["tokens"][0]["signature"].update(
            s=plus(f["funding"]["Refresh"]["tokens"][0]["signature"]["s"], 1))))
    add_open("refresh-keyset-not-announced", "unknown-keyset", "another mint's money is taken for this one's", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"].update(keysets=[rand("foreign keyset", 32)])))
    add_open("proof-changed", "invalid-proof", "whoever saw a voucher's key spends it", changed(
        bought["request"], lambda f: f["proof"].update(u=plus(f["proof"]["u"], 1))))
    add_open("proof-t-identity", "invalid-point", "a proof without nonce", changed(bought["request"], lambda f: f["proof"].update(t=IDENTITY)))
    add_open("proof-of-another-plan", "invalid-proof", "somebody changes what a reader buys", opening(bought, denominations=[100, 600]))
    add_open("proof-of-another-keyset", "invalid-proof", "somebody moves a reader to a keyset of its own", opening(
        bought, keyset=mint.list.ids[1]))
    add_open("recovery-exchanged", "invalid-proof", "somebody else recovers the session", opening(bought, recovery=rand("stranger", 32)))
    add_open("proof-for-another-mint", "invalid-proof", "a request to one mint is played to another", proved(
        [200, 500], root=public(scalar("other mint root"))))
    add_open("voucher-exchanged", "invalid-proof", "one voucher's proof spends another", opening(
        bought, funding={"Voucher": public(scalar("other voucher"))}))

    def add_issue(name, error, harm, frame):
        given = {**context, "open": wire.OPEN_REQUEST.encode(bought["request"]), "frame": wire.ISSUE_REQUEST.encode(frame)}
        cases.append(vector("issue", f"issue-{name}", "issue", error, harm, given))

    def asking(**update):
        return changed(bought["asked"], lambda f: f.update(update))

    challenges = bought["asked"]["challenges"]
    add_issue("no-challenges", "issue-output-count", "a session is used up for nothing", asking(challenges=[]))
    add_issue("challenges-257", "issue-output-count", "more answers than a session holds", asking(challenges=[challenges[0]] * 257))
    add_issue("one-challenge-missing", "issue-count-mismatch", "the reader pays for a token it does not get", asking(challenges=challenges[:1]))
    add_issue("one-challenge-too-many", "issue-count-mismatch", "a token too many", asking(challenges=challenges + challenges[:1]))
    add_issue("challenge-not-canonical", "issue-invalid-encoding", "one request has many digests: one commitment answers twice", asking(
        challenges=[NON_CANONICAL_SCALAR, challenges[1]]))
    add_issue("proof-u-not-canonical", "issue-invalid-encoding", "one request has many encodings", changed(
        bought["asked"], lambda f: f["proof"].update(u=NON_CANONICAL_SCALAR)))
    add_issue("challenges-exchanged", "issue-invalid-proof", "somebody else's tokens are signed with a reader's money", asking(
        challenges=challenges[::-1]))
    add_issue("session-exchanged", "issue-invalid-proof", "a request is played to another session", asking(session=rand("stranger", 16)))
    add_issue("proof-changed", "issue-invalid-proof", "whoever sees the session takes its tokens", changed(
        bought["asked"], lambda f: f["proof"].update(u=plus(f["proof"]["u"], 1))))
    add_issue("proof-of-the-opening", "issue-invalid-proof", "the opening's proof takes the tokens", asking(proof=bought["request"]["proof"]))

    blind_context = {**context, "seed": bought["seed"], "keyset": bought["keyset"], "denominations": bought["denominations"],
                     "first_index": bought["first_index"]}

    def add_blind(name, error, harm, opened, **more):
        given = {**blind_context, **more, "opened": wire.OPEN_RESPONSE.encode(opened)}
        cases.append(vector("issue", f"blind-{name}", "blind", error, harm, given))

    def opened(change):
        return changed(bought["opened"], lambda f: change(f["commitments"]))

    add_blind("one-commitment-missing", "issue-count-mismatch", "the reader pays for a token it does not get", opened(lambda c: c.pop()))
    add_blind("commitment-a-identity", "issue-invalid-encoding", "z shows x", opened(lambda c: c[0].update(a=IDENTITY)))
    add_blind("commitment-b-not-canonical", "issue-invalid-encoding", "a commitment under two names", opened(
        lambda c: c[1].update(b=NON_CANONICAL_POINT)))
    add_blind("commitment-twice", "issue-repeated-commitment", "blinding repeats and links two tokens", opened(
        lambda c: c.__setitem__(1, dict(c[0]))))
    add_blind("denomination-not-in-the-keyset", "issue-invalid-denominations", "tokens nobody accepts", bought["opened"],
              denominations=[200, 501])
    add_blind("indices-exhausted", "issue-unusable-blinding", "an index wraps around and blinding repeats", bought["opened"],
              first_index=2**64 - 1)

    def add_unblind(name, harm, change, error="issue-invalid-response"):
        frame = changed(bought["answer"], lambda f: change(f["responses"]))
        given = {**blind_context, "opened": wire.OPEN_RESPONSE.encode(bought["opened"]), "frame": wire.ISSUE_RESPONSE.encode(frame)}
        cases.append(vector("issue", f"unblind-{name}", "unblind", error, harm, given))

    worthless = "the reader pays for a token nobody accepts"
    add_unblind("one-response-missing", worthless, lambda r: r.pop(), "issue-count-mismatch")
    add_unblind("y-zero", "t = 0: a signature that is none", lambda r: r[0].update(y=bytes(32)), "issue-invalid-encoding")
    add_unblind("z-not-canonical", "one answer has many encodings", lambda r: r[0].update(z=NON_CANONICAL_SCALAR), "issue-invalid-encoding")
    for part in "byz":
        add_unblind(f"{part}-changed", worthless, lambda r: r[0].update({part: plus(r[0][part], 1)}))
    add_unblind("responses-exchanged", worthless, lambda r: r.reverse())
    add_unblind("answered-with-another-key", "the mint marks a reader's tokens with a key of its own", lambda r: r[0].update(
        z=answer_with(bought, scalar("marking key"))))
    return cases


def answer_with(session, x):
    """z of the first output as a key would make it that was never announced."""
    a, _, y = (ristretto.wide_scalar(part) for part in session["nonces"][0])
    c = session["pending"][0]["c"]
    return ristretto.encode_scalar(a + (c + pow(y, 5, L)) * x)


def answers(mint, double, context):
    _, ids, changes = positive.deposits(mint)
    mark = {"ledger": rand("ledger", 16), "sequence": 42}
    outcomes = [{"Credited": {"change": changes[0]}}, {"Credited": {"change": changes[1]}}]
    cases = []

    def sign(outcomes=outcomes, ids=ids, secret=mint.receipt_secrets[0], root=mint.root):
        return settle.sign(root, mark, ids, outcomes, secret, rand("negative answer fresh", 32))

    def add(name, error, harm, frame):
        given = {**context, "frame": wire.DEPOSIT_RESPONSE.encode(frame),
                 "payments": [{"id": id_, "change": change} for id_, change in zip(ids, changes)]}
        cases.append(vector("answer", name, "answer", error, harm, given))

    bad = "answer-invalid-signature"
    good = sign()
    unrelated = other_double(mint)
    add("outcome-missing", "answer-count-mismatch", "a payment stays without an answer", sign(outcomes[:1], ids[:1]))
    add("outcome-too-many", "answer-count-mismatch", "answers are read for the wrong payments", sign(outcomes + outcomes[:1], ids + ids[:1]))
    add("receipt-key-not-announced", bad, "anybody tells a publisher that it was paid", sign(secret=scalar("stranger")))
    add("signed-for-another-root", bad, "another mint's answer", sign(root=public(scalar("other mint root"))))
    add("signature-changed", bad, "anybody tells a publisher that it was paid", changed(
        good, lambda f: f["proof"].update(u=plus(f["proof"]["u"], 1))))
    add("signature-u-not-canonical", bad, "one answer has many encodings", changed(good, lambda f: f["proof"].update(u=NON_CANONICAL_SCALAR)))
    add("sequence-changed", bad, "a restored mint passes for a current one", changed(good, lambda f: f["mark"].update(sequence=43)))
    add("ledger-exchanged", bad, "a restored mint passes for another", changed(good, lambda f: f["mark"].update(ledger=rand("other ledger", 16))))
    add("refusal-made-a-credit", bad, "a publisher serves what the mint refused", changed(
        sign([{"Refused": 4}, outcomes[1]]), lambda f: f["outcomes"].__setitem__(0, {"Credited": {"change": 0}})))
    add("payments-exchanged", bad, "an answer to one payment is taken for another's", sign(outcomes, ids[::-1]))
    add("credited-with-wrong-change", "answer-wrong-change", "the mint keeps part of the change", sign([{"Credited": {"change": 1}}, outcomes[1]]))
    add("already-credited-with-wrong-change", "answer-wrong-change", "the mint keeps part of the change", sign(
        [outcomes[0], {"AlreadyCredited": {"change": changes[1] + 1}}]))
    add("double-spend-of-other-payments", "answer-unrelated-proof", "one true proof excuses the mint from every payment", sign(
        [outcomes[0], {"DoubleSpent": unrelated}]))
    nonsense = dict(double, sides=double["sides"][::-1])
    add("double-spend-not-canonical", bad, "signed nonsense counts as a proof", sign([outcomes[0], {"DoubleSpent": nonsense}]))
    return cases


def other_double(mint):
    """A true double-spend proof that is about neither deposited payment."""
    shared, sides = [mint.token(0, 20, "caught")], []
    for recipient in ("news.example", "blog.example"):
        frame, s, _ = world.payment_of(mint, shared, recipient, 20, SUBJECT, f"caught {recipient}")
        sides.append(evidence.side_of(s, spent_of(shared), frame["proof"]))
    made = evidence.make(shared[0][0], shared[0][1], sides)
    evidence.verify(made, mint.list)
    return made


def http(mint, files, context):
    good = next(c for c in files["http.json"]["cases"] if c["name"] == "credential-payment")
    echoed, salt, frame = good["input"]["challenge"], good["input"]["salt"], good["output"]["frame"]
    cases = []

    def add(name, harm, challenge=echoed, salt=salt, recipient="news.example"):
        cases.append(vector("http", name, "http-payment", "invalid-proof", harm, {
            **context, "challenge": challenge, "salt": salt, "frame": frame, "recipient": recipient}))

    other = dict(positive.charge_request(mint), externalId="article-43")
    add("salt-changed", "a payment opens what it was not made for", salt=flip(salt))
    add("salt-missing", "the mint tries articles until one fits D", salt=b"")
    add("challenge-id-exchanged", "a payment answers another challenge", {**echoed, "id": wire.base64url(rand("again id", 32))})
    add("request-of-another-article", "one payment opens another article", {**echoed, "request": http_scheme.encode_request(other)})
    add("realm-exchanged", "a site relays another site's challenge", {**echoed, "realm": "thief.example"})
    add("recipient-of-a-relaying-site", "a site is paid for another's article", recipient="thief.example")
    add("expires-exchanged", "an old challenge lives on", {**echoed, "expires": "2028-01-15T08:05:00Z"})
    add("opaque-dropped", "two readers share a challenge", {k: v for k, v in echoed.items() if k != "opaque"})
    add("description-added", "the reader saw other words than the verifier", {**echoed, "description": "free"})
    add("digest-empty-instead-of-absent", "absent and empty parameters are confused", {**echoed, "digest": ""})
    again = next(c for c in files["http.json"]["cases"] if c["name"] == "credential-reread")
    token = again["input"]["tokens"][0]
    keys = [{name: token[name] for name in ("keyset", "denomination", "key")}]
    cases.append(vector("http", "reread-of-another-challenge", "http-reread", "invalid-proof", "a recorded reread opens the article for anybody", {
        "challenge": echoed, "recipient": "news.example", "frame": again["output"]["frame"], "keys": keys}))
    stranger = mint.token(0, 500, "one")
    cases.append(vector("http", "reread-by-other-keys", "http-reread", "invalid-proof", "whoever knows a payment id reads", {
        "challenge": again["input"]["challenge"], "recipient": "news.example", "frame": again["output"]["frame"],
        "keys": [{"keyset": stranger[0][0], "denomination": 500, "key": stranger[0][2]}]}))

    def malformed(name, operation, harm, text):
        cases.append(vector("http", name, operation, "malformed-credential", harm, {"json": text}))

    payload, request = good["output"]["payload"], positive.charge_request(mint)
    both = {**payload, "reread": again["output"]["payload"]["reread"]}
    dump = http_scheme.canonical
    malformed("payload-pays-and-rereads", "http-payload", "verifiers disagree about what a credential is", dump(both))
    malformed("payload-without-salt", "http-payload", "the mint guesses the article", dump({"payment": payload["payment"]}))
    malformed("payload-with-unknown-field", "http-payload", "what one verifier ignores another obeys", dump({**payload, "source": "me"}))
    malformed("payload-salt-a-number", "http-payload", "types are guessed", dump({**payload, "salt": 1}))
    malformed("payload-field-twice", "http-payload", "first or last wins: verifiers disagree", '{"reread":"AA","reread":"AQ"}')
    malformed("payload-not-json", "http-payload", "reading beyond the text", dump(payload)[:-1])
    malformed("request-with-unknown-field", "http-request", "a wallet pays under terms it does not know", dump({**request, "minimum": "1"}))
    malformed("request-without-recipient", "http-request", "a wallet pays it knows not whom", dump(
        {k: v for k, v in request.items() if k != "recipient"}))
    malformed("request-amount-a-number", "http-request", "amounts lose digits in floating point", dump({**request, "amount": 500}))
    malformed("request-access-negative", "http-request", "access that ended before it began", dump(
        {**request, "methodDetails": {**request["methodDetails"], "access": -1}}))
    malformed("request-deadline-fractional", "http-request", "deadlines in floating point", dump(
        {**request, "methodDetails": {**request["methodDetails"], "depositBy": 1.5}}))
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


def all_files(mint, files):
    """{file name: content}; `files` are the positive ones."""
    context = {"root": mint.root, "list": wire.KEYSET_LIST.encode(mint.list.frame())}
    double, _, _ = positive.double_spend(mint)
    groups_of_cases = {
        "frame": ("wire.md", frames(files)), "group": ("primitives.md", groups()), "payment": ("payment.md", structures(mint)),
        "proof": ("payment.md", spends(mint, context)), "keysets": ("keysets.md", lists(mint)),
        "evidence": ("payment.md", evidences(mint, context)), "issue": ("issue.md", issues(mint, positive.sessions(mint), context)),
        "answer": ("deposit.md", answers(mint, double, context)), "http": ("http.md", http(mint, files, context)),
        "voucher": ("issue.md", vouchers())}
    return {f"negative/{layer}.json": {**positive.file(page, f"Inputs that the layer `{layer}` must refuse, one defect each.", cases)}
            for layer, (page, cases) in groups_of_cases.items()}


def to_json(value):
    """Bytes as hex, everything else as it is."""
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def dump(value):
    return json.dumps(to_json(value), indent=1, ensure_ascii=False) + "\n"
