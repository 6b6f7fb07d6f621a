"""What a publisher signs for the reader who paid (spec/payment.md, section 8)."""

import labels
import proofs
import ristretto


def digest(payment_id, settled, resource, paid_at, access_until):
    transcript = labels.Transcript(labels.PUBLISHER_RECEIPT)
    transcript.bytes("payment", payment_id).u64("outcome", int(settled)).bytes("digest", resource)
    return transcript.u64("window", paid_at).u64("window", access_until).digest()


def statement(given):
    d = digest(given["payment_id"], given["settled"], given["resource"], given["paid_at"], given["access_until"])
    return proofs.statement(given["publisher"].encode(), given["amount"], 0, d)


def sign(given, secret, fresh):
    key = (secret * ristretto.G).encode()
    return proofs.prove("receipt", statement(given), proofs.Lone(key), [secret], fresh)


def verify(given, key, proof):
    proofs.verify("receipt", statement(given), proofs.Lone(key), proof)
