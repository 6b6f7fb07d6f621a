"""Verifies freshly random artefacts that another implementation has made, and that flipped copies of them are refused."""

import evidence
import http_scheme
import issue
import keysets
import payment
import proofs
import receipt
import refund
import restore
import seed
import settle
import wire
from errors import Refused


def raw(text):
    return bytes.fromhex(text)


def holds(call, *arguments):
    try:
        call(*arguments)
    except Refused:
        return False
    return True


def tests(made):
    """Yields (name, whether it passed) for everything in the file."""
    for number, world in enumerate(made["worlds"]):
        root = raw(world["root"])
        frame = wire.KEYSET_LIST.decode(raw(world["list"]))
        list_ = keysets.verify(frame, root)
        yield f"{number}: keyset list", list_.ids == [raw(id_) for id_ in world["ids"]] and list_.head() == raw(world["head"])
        yield f"{number}: another root", not holds(keysets.verify, frame, bytes(32))
        for one in world["payments"]:
            frame = wire.PAYMENT.decode(raw(one["frame"]))
            found = payment.verify(frame, one["recipient"], raw(one["subject"]), list_)
            yield f"{number}: payment", found == (raw(one["payment_id"]), one["change"])
            yield f"{number}: payment to another", not holds(payment.verify, frame, "other.example", raw(one["subject"]), list_)
        for one in world["double_spends"]:
            frame = wire.DOUBLE_SPEND.decode(raw(one["frame"]))
            yield f"{number}: double-spend proof", evidence.verify(frame, list_) == [raw(id_) for id_ in one["payment_ids"]]
        for one in world["answers"]:
            frame = wire.DEPOSIT_RESPONSE.decode(raw(one["frame"]))
            expected = [(raw(p["id"]), p["change"]) for p in one["payments"]]
            yield f"{number}: deposit answer", holds(settle.verify, frame, expected, list_)
            changed = dict(frame, mark=dict(frame["mark"], sequence=frame["mark"]["sequence"] + 1))
            yield f"{number}: deposit answer changed", not holds(settle.verify, changed, expected, list_)
        for one in world["sessions"]:
            opened = issue.Open(wire.OPEN_REQUEST.decode(raw(one["open_request"])))
            yield f"{number}: open request", holds(opened.verify, root, list_)
            asked = wire.ISSUE_REQUEST.decode(raw(one["issue_request"]))
            yield f"{number}: issue request", holds(issue.check_issue, asked, root, opened)
            pending = issue.blind(raw(one["seed"]), root, opened.frame["keyset"], list_, opened.frame["denominations"],
                                  one["first_index"], wire.OPEN_RESPONSE.decode(raw(one["open_response"])))
            tokens = issue.unblind(opened.frame["keyset"], pending, wire.ISSUE_RESPONSE.decode(raw(one["issue_response"])))
            yield f"{number}: the same tokens", [token[0][2].hex() for token in tokens] == one["keys"]
        for one in world["rereads"]:
            s = proofs.statement(one["recipient"].encode(), 0, 0, http_scheme.subject(one["challenge"], b""))
            spent = [(raw(k["keyset"]), k["denomination"], raw(k["key"])) for k in one["keys"]]
            frame = wire.REREAD.decode(raw(one["frame"]))
            yield f"{number}: reread", holds(proofs.verify, "reread", s, proofs.Tokens(spent), frame["proof"])
        for one in world["receipts"]:
            said = {**one, "payment_id": raw(one["payment_id"]), "resource": raw(one["resource"])}
            proof = {"t": raw(one["t"]), "u": raw(one["u"])}
            yield f"{number}: publisher's receipt", holds(receipt.verify, said, raw(one["key"]), proof)
            yield f"{number}: publisher's receipt of another amount", not holds(receipt.verify, {**said, "amount": said["amount"] + 1}, raw(one["key"]), proof)
        for one in world["refunds"]:
            asked = wire.REFUND_REQUEST.decode(raw(one["request"]))
            found = refund.verify_request(asked, root, raw(one["key"]))
            yield f"{number}: refund request", found == (raw(one["payment_id"]), "news.example")
            yield f"{number}: refund request by another", not holds(refund.verify_request, asked, root, root)
            answer = wire.REFUND_RESPONSE.decode(raw(one["answer"]))
            yield f"{number}: refund answer", refund.verify(answer, raw(one["payment_id"]), list_) == one["outcome"]
        for one in world["buckets"]["all"]:
            frame, keyset = wire.RESTORE_BUCKET.decode(raw(one["frame"])), raw(one["keyset"])
            yield f"{number}: bucket", holds(restore.check, frame, keyset, 0)
            tokens, passed_over = restore.restore_all(frame, raw(world["buckets"]["seed"]), root, list_, gap=32)
            yield f"{number}: restored", [t[0][2].hex() for t in tokens] == one["keys"] and passed_over == 0
        for one in world["vouchers"]:
            yield f"{number}: voucher", seed.voucher_key(seed.voucher_parse(one["text"]))[1] == raw(one["key"])
