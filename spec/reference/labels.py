"""Every domain separator and field label, and `Hash`: spec/primitives.md, sections 4 and 5."""

import ristretto
from merlin import Transcript as Merlin

GENERATOR_H = "farthing/1 generator H"
SIGNATURE = "farthing/1 blind signature"
STATEMENT = "farthing/1 statement"
PROOF = "farthing/1 proof of spending"
PROOF_NONCE = "farthing/1 proof nonce"
PAYMENT_ID = "farthing/1 payment id"
BATCH = "farthing/1 batch weights"
HTTP_CHALLENGE = "farthing/1 http challenge"
SESSION_OPEN = "farthing/1 session open"
SESSION_ISSUE = "farthing/1 session issue"
DEPOSIT_ANSWER = "farthing/1 deposit answer"
REFUND = "farthing/1 refund"
REFUND_ANSWER = "farthing/1 refund answer"
PUBLISHER_RECEIPT = "farthing/1 publisher receipt"
KEYSET_ID = "farthing/1 keyset id"
KEYSET_HEAD = "farthing/1 keyset list head"
COMMITMENT_ROW = "farthing/1 commitment row"
WALLET_TOKEN = "farthing/1 wallet token"
WALLET_RECOVERY = "farthing/1 wallet recovery"
RECOVERY_HASH = "farthing/1 recovery hash"
RECOVERY_SECRET = "farthing/1 recovery secret"
RECOVERY_LEAF = "farthing/1 recovery leaf"
RECOVERY_COMMITMENT = "farthing/1 recovery commitment"
BLINDING = "farthing/1 blinding"
VOUCHER = "farthing/1 voucher"
VOUCHER_CHECK = "farthing/1 voucher check"
SPENT_MARK = "farthing/1 spent mark"

ALL = [GENERATOR_H, SIGNATURE, STATEMENT, PROOF, PROOF_NONCE, PAYMENT_ID, BATCH, HTTP_CHALLENGE, SESSION_OPEN, SESSION_ISSUE,
       DEPOSIT_ANSWER, REFUND, REFUND_ANSWER, PUBLISHER_RECEIPT, KEYSET_ID, KEYSET_HEAD, COMMITMENT_ROW, WALLET_TOKEN, WALLET_RECOVERY, RECOVERY_HASH,
       RECOVERY_SECRET, RECOVERY_LEAF, RECOVERY_COMMITMENT, BLINDING, VOUCHER, VOUCHER_CHECK, SPENT_MARK]


# Set by vectors.py to write example transcripts down; None otherwise.
OBSERVER = None


class Transcript:
    """A transcript of one domain: append fields in order, then squeeze."""

    def __init__(self, domain):
        assert domain in ALL
        self.merlin = Merlin(domain.encode())
        self.trace = []
        if OBSERVER is not None:
            OBSERVER(domain, self.trace)

    def clone(self):
        copy = object.__new__(Transcript)
        copy.merlin = self.merlin.clone()
        copy.trace = list(self.trace)
        if OBSERVER is not None:
            OBSERVER(None, copy.trace)
        return copy

    def bytes(self, field, value):
        self.merlin.append(field.encode(), value)
        self.trace.append({"append": field, "value": value})
        return self

    def u64(self, field, value):
        return self.bytes(field, value.to_bytes(8, "little"))

    def optional(self, field, value):
        if value is None:
            return self.u64("present", 0)
        return self.u64("present", 1).bytes(field, value)

    def squeeze(self, field, count):
        squeezed = self.merlin.challenge(field.encode(), count)
        self.trace.append({"squeeze": field, "value": squeezed})
        return squeezed

    def digest(self):
        return self.squeeze("output", 32)

    def scalar(self, field):
        return ristretto.wide_scalar(self.squeeze(field, 64))


def second_generator():
    return ristretto.from_uniform_bytes(Transcript(GENERATOR_H).squeeze("output", 64))


H = second_generator()
