"""Statements, lists, proofs of spending and payment ids (spec/payment.md, sections 1 to 3)."""

import labels
import ristretto
from errors import Refused
from ristretto import G, L

PURPOSES = {"pay": 1, "reread": 2, "refresh": 3, "change": 4, "voucher": 5, "announce": 6, "answer": 7, "refund": 8, "reclaim": 9,
            "receipt": 10, "recover": 11}


def statement(recipient, amount, deposit_by, subject):
    """S."""
    transcript = labels.Transcript(labels.STATEMENT)
    transcript.bytes("recipient", recipient).u64("amount", amount).u64("deposit by", deposit_by).bytes("digest", subject)
    return transcript.digest()


def spent_key_bytes(spent):
    """A spent key is (keyset, denomination, P); 72 bytes, the denomination big-endian so that bytes sort like values."""
    keyset, denomination, key = spent
    return keyset + denomination.to_bytes(8, "big") + key


class Tokens:
    """A list L of spent keys, ascending, without duplicates."""

    def __init__(self, spent):
        self.spent = list(spent)
        self.keys = [key for _, _, key in self.spent]

    def append(self, transcript):
        transcript.u64("list kind", 0).u64("count", len(self.spent))
        for spent in self.spent:
            transcript.bytes("key", spent_key_bytes(spent))


class Lone:
    """One key standing alone: a voucher's, the root's, a receipt key."""

    def __init__(self, key):
        self.keys = [key]

    def append(self, transcript):
        transcript.u64("list kind", 1).u64("count", 1).bytes("key", self.keys[0])


def payment_id(s, spent):
    transcript = labels.Transcript(labels.PAYMENT_ID)
    transcript.u64("purpose", PURPOSES["pay"]).bytes("statement", s)
    Tokens(spent).append(transcript)
    return transcript.digest()


def transcript_of(purpose, s, list_):
    """The transcript of a proof up to L."""
    transcript = labels.Transcript(labels.PROOF)
    transcript.u64("purpose", PURPOSES[purpose]).bytes("statement", s)
    list_.append(transcript)
    return transcript


def coefficients(transcript, t, count):
    """e_1 .. e_n: 16 bytes each, little-endian, squeezed at once after T."""
    squeezed = transcript.clone().bytes("T", t).squeeze("challenge", 16 * count)
    return [int.from_bytes(squeezed[16 * i:16 * i + 16], "little") for i in range(count)]


def prove(purpose, s, list_, secrets, fresh):
    """A proof (T, u) by the secret keys of the list, in its order; `fresh` is 32 random bytes."""
    assert len(secrets) == len(list_.keys) > 0 and len(fresh) == 32
    transcript = transcript_of(purpose, s, list_)
    hedge = labels.Transcript(labels.PROOF_NONCE)
    hedge.bytes("fresh", fresh).bytes("digest", transcript.clone().digest())
    for secret in secrets:
        hedge.bytes("secret", ristretto.encode_scalar(secret))
    nonce = hedge.scalar("output")
    t = (nonce * G).encode()
    e = coefficients(transcript, t, len(secrets))
    u = (nonce + sum(e_i * k_i for e_i, k_i in zip(e, secrets))) % L
    return {"t": t, "u": ristretto.encode_scalar(u)}


def verify(purpose, s, list_, proof):
    """uG = T + sum e_i P_i."""
    if not list_.keys:
        raise Refused("empty-batch")
    u = ristretto.decode_scalar(proof["u"])
    try:
        t = ristretto.decode_point(proof["t"])
        keys = [ristretto.decode_point(key) for key in list_.keys]
    except Refused:
        raise Refused("invalid-point") from None
    sum_ = t
    for e, key in zip(coefficients(transcript_of(purpose, s, list_), proof["t"], len(keys)), keys):
        sum_ = sum_ + e * key
    if u * G != sum_:
        raise Refused("invalid-proof")
