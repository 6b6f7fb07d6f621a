"""Blind signatures: Snowblind with one signer (spec/issue.md, section 1)."""

import labels
import ristretto
from errors import Refused
from labels import H
from ristretto import G, L


def challenge_hash(keyset, denomination, key, message, r):
    """c' = Hash(keyset, denomination, X, m, R)."""
    transcript = labels.Transcript(labels.SIGNATURE)
    transcript.bytes("keyset", keyset).u64("denomination", denomination).bytes("key", key)
    return transcript.bytes("message", message).bytes("R", r).scalar("challenge")


def commit(a, b, y):
    """(A, B), encoded."""
    assert y % L != 0
    return {"a": (a * G).encode(), "b": (b * G + y * H).encode()}


def commitment_row(commitment):
    transcript = labels.Transcript(labels.COMMITMENT_ROW)
    return transcript.bytes("commitment", commitment["a"]).bytes("commitment", commitment["b"]).digest()


def blind(keyset, denomination, key, commitment, message, r, alpha, beta):
    """(R encoded, c)."""
    if alpha % L == 0:
        raise Refused("issue-unusable-blinding")
    a, b, x = (ristretto.decode_point(point) for point in (commitment["a"], commitment["b"], key))
    alpha5 = pow(alpha, 5, L)
    element = r * G + alpha5 * a + alpha * b + (alpha5 * beta % L) * x
    if element.is_identity():
        raise Refused("issue-unusable-blinding")
    encoded = element.encode()
    c = challenge_hash(keyset, denomination, key, message, encoded) * ristretto.inverse(alpha5) + beta
    return encoded, c % L


def respond(x, a, b, y, c):
    """(b, y, z) for one challenge; never twice for one (a, b, y)."""
    return b % L, y % L, (a + (c + pow(y, 5, L)) * x) % L


def unblind(key, commitment, r, alpha, r_point, c, response):
    """The signature (R, s, t), or Refused if the response does not open the commitment and answer the challenge."""
    b, y, z = response
    a_point, b_point, x = (ristretto.decode_point(point) for point in (commitment["a"], commitment["b"], key))
    if b * G + y * H != b_point or z * G != a_point + ((c + pow(y, 5, L)) % L) * x or alpha * y % L == 0:
        raise Refused("issue-invalid-response")
    s = (r + pow(alpha, 5, L) * z + alpha * b) % L
    return {"r": r_point, "s": ristretto.encode_scalar(s), "t": ristretto.encode_scalar(alpha * y % L)}


def verify(keyset, denomination, key, message, signature):
    """t != 0 and R + (c' + t^5) X = sG + tH; R not canonical is `invalid-point`."""
    s = ristretto.decode_scalar(signature["s"])
    t = ristretto.decode_non_zero_scalar(signature["t"])
    try:
        r = ristretto.decode_point(signature["r"])
    except Refused:
        raise Refused("invalid-point") from None
    factor = (challenge_hash(keyset, denomination, key, message, signature["r"]) + pow(t, 5, L)) % L
    if r + factor * ristretto.decode_point(key) != s * G + t * H:
        raise Refused("invalid-signature")
