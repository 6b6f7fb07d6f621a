"""Deposit answers (spec/deposit.md)."""

import evidence
import labels
import proofs
import ristretto
import wire
from errors import Refused, recode

NUMBERS = {"Credited": 0, "AlreadyCredited": 1, "Refunded": 2, "DoubleSpent": 3, "Refused": 4}


def digest(mark, ids, outcomes):
    """D of an answer; an id is None where a payment was too malformed to have one."""
    transcript = labels.Transcript(labels.DEPOSIT_ANSWER)
    transcript.bytes("ledger", mark["ledger"]).u64("sequence", mark["sequence"]).u64("count", len(outcomes))
    for id_, outcome in zip(ids, outcomes):
        transcript.optional("payment", id_)
        (name, content), = outcome.items()
        transcript.u64("outcome", NUMBERS[name])
        if name in ("Credited", "AlreadyCredited"):
            transcript.u64("value", content["change"])
        elif name == "DoubleSpent":
            transcript.bytes("value", wire.DOUBLE_SPEND.encode(content))
        elif name == "Refused":
            transcript.u64("value", content)
    return transcript.digest()


def sign(root, mark, ids, outcomes, receipt_secret, fresh):
    receipt_key = (receipt_secret * ristretto.G).encode()
    s = proofs.statement(root, 0, 0, digest(mark, ids, outcomes))
    proof = proofs.prove("answer", s, proofs.Lone(receipt_key), [receipt_secret], fresh)
    return {"mark": mark, "receipt_key": receipt_key, "outcomes": outcomes, "proof": proof}


def verify(frame, expected, keysets):
    """Checks an answer against the deposited payments: (id, change) each."""
    if len(frame["outcomes"]) != len(expected):
        raise Refused("answer-count-mismatch")
    if frame["receipt_key"] not in keysets.receipt_keys():
        raise Refused("answer-invalid-signature")
    s = proofs.statement(keysets.root, 0, 0, digest(frame["mark"], [id_ for id_, _ in expected], frame["outcomes"]))
    recode("answer-invalid-signature", proofs.verify, "answer", s, proofs.Lone(frame["receipt_key"]), frame["proof"])
    for outcome in frame["outcomes"]:
        if "DoubleSpent" in outcome:
            # Signed nonsense is no proof. (That it holds is checked by `evidence.verify`.)
            recode("answer-invalid-signature", check_form, outcome["DoubleSpent"])
    for outcome, (id_, change) in zip(frame["outcomes"], expected):
        (name, content), = outcome.items()
        if name in ("Credited", "AlreadyCredited") and content["change"] != change:
            raise Refused("answer-wrong-change")
        # A true proof about two other payments would excuse the mint from every payment it does not want to book.
        if name == "DoubleSpent" and id_ not in [evidence.side_id(side) for side in content["sides"]]:
            raise Refused("answer-unrelated-proof")


def check_form(frame):
    """A double-spend frame as far as it is checked without keys."""
    ristretto.decode_scalar(frame["signature"]["s"])
    ristretto.decode_non_zero_scalar(frame["signature"]["t"])
    ids = [evidence.side_id(side) for side in frame["sides"]]
    if ids[0] >= ids[1]:
        raise Refused("evidence-same-payment")
