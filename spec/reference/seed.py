"""Wallet derivation and voucher codes (spec/issue.md, sections 4 and 5)."""

import labels
from errors import Refused
from ristretto import G

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def token_secrets(seed, root, keyset, denomination, index, commitment, key):
    """(k, r, alpha, beta) of one token."""
    prf = labels.Transcript(labels.WALLET_TOKEN)
    prf.bytes("seed", seed).bytes("root", root).bytes("keyset", keyset).u64("denomination", denomination).u64("index", index)
    prf.bytes("commitment", commitment["a"]).bytes("commitment", commitment["b"]).bytes("key", key)
    k = prf.scalar("k")
    r, alpha, beta = blinding(recovery_secret(seed, root, keyset, denomination, index), keyset, denomination, commitment, key)
    if k == 0 or alpha == 0:
        raise Refused("issue-unusable-blinding")
    return k, r, alpha, beta


def recovery_secret(seed, root, keyset, denomination, index):
    """u of one output, known before its commitment is."""
    prf = labels.Transcript(labels.RECOVERY_SECRET)
    prf.bytes("seed", seed).bytes("root", root).bytes("keyset", keyset).u64("denomination", denomination).u64("index", index)
    return prf.digest()


def recovery_leaf(secret):
    return labels.Transcript(labels.RECOVERY_LEAF).bytes("secret", secret).digest()


def blinding(secret, keyset, denomination, commitment, key):
    """(r, alpha, beta) of one output."""
    prf = labels.Transcript(labels.BLINDING).bytes("secret", secret).bytes("keyset", keyset).u64("denomination", denomination)
    prf.bytes("commitment", commitment["a"]).bytes("commitment", commitment["b"]).bytes("key", key)
    return tuple(prf.scalar(field) for field in ("r", "alpha", "beta"))


def recovery_hash(seed, root, session_index):
    key = labels.Transcript(labels.WALLET_RECOVERY).bytes("seed", seed).bytes("root", root).u64("index", session_index).digest()
    return labels.Transcript(labels.RECOVERY_HASH).bytes("key", key).digest()


def voucher_key(code):
    """(secret, public key encoded) of a voucher's 16 bytes."""
    secret = labels.Transcript(labels.VOUCHER).bytes("seed", code).scalar("key")
    assert secret != 0
    return secret, (secret * G).encode()


def voucher_check(code):
    """Four digits: the low five bits of each of four bytes."""
    return [byte & 31 for byte in labels.Transcript(labels.VOUCHER_CHECK).bytes("seed", code).squeeze("output", 4)]


def voucher_text(code):
    number = int.from_bytes(code, "big")
    digits = [number >> 5 * place & 31 for place in range(25, -1, -1)] + voucher_check(code)
    plain = "fv" + "".join(ALPHABET[digit] for digit in digits)
    return "-".join(plain[i:i + 4] for i in range(0, len(plain), 4))


def voucher_parse(text):
    plain = "".join(c for c in text if not c.isspace() and c != "-")
    plain = "".join(c.lower() if c.isascii() else c for c in plain)
    body = plain[2:].replace("i", "1").replace("l", "1").replace("o", "0")
    if not plain.startswith("fv") or len(body) != 30 or any(c not in ALPHABET for c in body):
        raise Refused("voucher-malformed")
    digits = [ALPHABET.index(c) for c in body]
    if digits[0] > 7:
        raise Refused("voucher-malformed")
    number = 0
    for digit in digits[:26]:
        number = number << 5 | digit
    code = number.to_bytes(16, "big")
    if voucher_check(code) != digits[26:]:
        raise Refused("voucher-mistyped")
    return code
