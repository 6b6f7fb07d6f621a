"""The negative vectors: one defect each, named by it, with the code that refuses it and the harm if nothing did.

`run` executes one with the reference and returns the code it was refused with (None if it was accepted); `all_files` makes them.
"""

import json

import defects_givebacks
import defects_http
import defects_mint
import defects_payment
import defects_wire
import evidence
import http_scheme
import issue
import keysets
import payment
import positive
import proofs
import receipt
import recovery
import refund
import restore
import ristretto
import seed
import settle
import wire
from errors import Refused


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


def run_refund(given):
    refund.verify_request(wire.REFUND_REQUEST.decode(raw(given["frame"])), raw(given["root"]), raw(given["key"]))


def run_refund_answer(given):
    refund.verify(wire.REFUND_RESPONSE.decode(raw(given["frame"])), raw(given["payment_id"]), the_list(given))


def run_receipt(given):
    said = {**given, **{name: raw(given[name]) for name in ("payment_id", "resource")}}
    receipt.verify(said, raw(given["key"]), {"t": raw(given["t"]), "u": raw(given["u"])})


def run_bucket(given):
    restore.check(wire.RESTORE_BUCKET.decode(raw(given["frame"])), raw(given["keyset"]), given["bucket"])


def run_restore_session(given):
    frame = wire.RESTORE_BUCKET.decode(raw(given["frame"]))
    restore.check(frame, raw(given["keyset"]), 0)
    restore.restore(frame["sessions"][0], raw(given["seed"]), raw(given["root"]), raw(given["keyset"]), the_list(given), given["first_index"])


def run_recovery(given):
    claim = wire.OPEN_REQUEST.decode(raw(given["frame"]))["funding"]["Recovery"]
    recovery.spent_keys(claim)
    recovery.verify(claim, wire.RESTORE_BUCKET.decode(raw(given["recorded"]))["sessions"][0], the_list(given))


OPERATIONS = {
    "frame": run_frame, "frame-json": run_frame_json, "group": run_group, "payment": run_payment, "deposit": run_deposit, "spend": run_spend, "batch": run_batch,
    "keysets": run_keysets, "evidence": run_evidence, "open": run_open, "issue": run_issue, "blind": run_blind,
    "unblind": run_unblind, "answer": run_answer, "refund": run_refund, "refund-answer": run_refund_answer, "receipt": run_receipt,
    "bucket": run_bucket, "restore-session": run_restore_session, "recovery": run_recovery, "http-payment": run_http_payment, "http-reread": run_http_reread,
    "http-payload": lambda given: http_scheme.parse_payload(given["json"]),
    "http-request": lambda given: http_scheme.parse_request(given["json"]),
    "voucher": lambda given: seed.voucher_parse(given["text"]),
}


def run(case):
    """The code one vector is refused with by the reference."""
    try:
        OPERATIONS[case["operation"]](case["input"])
    except Refused as error:
        return error.code
    return None


def all_files(mint, files):
    """{file name: content}; `files` are the positive ones."""
    context = {"root": mint.root, "list": wire.KEYSET_LIST.encode(mint.list.frame())}
    double, _, _ = positive.double_spend(mint)
    made = positive.sessions(mint)
    groups_of_cases = {
        "frame": ("wire.md", defects_wire.frames(files)), "group": ("primitives.md", defects_wire.groups()), "payment": ("payment.md", defects_payment.structures(mint)),
        "proof": ("payment.md", defects_payment.spends(mint, context) + defects_givebacks.receipts(mint)), "keysets": ("keysets.md", defects_mint.lists(mint)),
        "evidence": ("payment.md", defects_payment.evidences(mint, context)), "issue": ("issue.md", defects_mint.issues(mint, made, context)),
        "answer": ("deposit.md", defects_mint.answers(mint, double, context)), "http": ("http.md", defects_http.http(mint, files, context)),
        "refund": ("refund.md", defects_givebacks.refunds(mint, context)),
        "restore": ("restore.md", defects_givebacks.restores(mint, made, context)),
        "voucher": ("issue.md", defects_wire.vouchers())}
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
