"""Refund requests and their answers (spec/refund.md)."""

import labels
import proofs
import ristretto
from errors import Refused, recode
from payment import MAX_RECIPIENT

NUMBERS = {"Refunded": 0, "AlreadyRefunded": 1, "Refused": 2}


def request_digest(payment_id, publisher):
    """D of a request."""
    return labels.Transcript(labels.REFUND).bytes("payment", payment_id).bytes("recipient", publisher.encode()).digest()


def request(root, payment_id, publisher, secret, fresh):
    s = proofs.statement(root, 0, 0, request_digest(payment_id, publisher))
    proof = proofs.prove("refund", s, proofs.Lone((secret * ristretto.G).encode()), [secret], fresh)
    return {"payment": payment_id, "publisher": publisher, "proof": proof}


def verify_request(frame, root, key):
    """The mint's side: `key` is the one registered for the publisher; (payment id, publisher)."""
    if len(frame["publisher"].encode()) > MAX_RECIPIENT:
        raise Refused("refund-publisher-too-long")
    recode("refund-invalid-encoding", ristretto.decode_scalar, frame["proof"]["u"])
    s = proofs.statement(root, 0, 0, request_digest(frame["payment"], frame["publisher"]))
    recode("refund-invalid-proof", proofs.verify, "refund", s, proofs.Lone(key), frame["proof"])
    return frame["payment"], frame["publisher"]


def answer_digest(mark, payment_id, outcome):
    """D of an answer."""
    (name, content), = outcome.items()
    transcript = labels.Transcript(labels.REFUND_ANSWER)
    transcript.bytes("ledger", mark["ledger"]).u64("sequence", mark["sequence"]).bytes("payment", payment_id)
    transcript.u64("outcome", NUMBERS[name])
    if name == "Refused":
        transcript.u64("value", content)
    return transcript.digest()


def sign(root, mark, payment_id, outcome, receipt_secret, fresh):
    receipt_key = (receipt_secret * ristretto.G).encode()
    s = proofs.statement(root, 0, 0, answer_digest(mark, payment_id, outcome))
    proof = proofs.prove("answer", s, proofs.Lone(receipt_key), [receipt_secret], fresh)
    return {"mark": mark, "receipt_key": receipt_key, "outcome": outcome, "proof": proof}


def verify(frame, payment_id, keysets):
    """Checks the answer to the request about one payment."""
    if frame["receipt_key"] not in keysets.receipt_keys():
        raise Refused("answer-invalid-signature")
    s = proofs.statement(keysets.root, 0, 0, answer_digest(frame["mark"], payment_id, frame["outcome"]))
    recode("answer-invalid-signature", proofs.verify, "answer", s, proofs.Lone(frame["receipt_key"]), frame["proof"])
    return frame["outcome"]
