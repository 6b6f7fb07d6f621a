"""Payments: structure, statement, verification (spec/payment.md)."""

import proofs
import ristretto
import snowblind
from errors import Refused

MAX_TOKENS = 24
MAX_RECIPIENT = 260
MAX_U64 = 2**64 - 1


def tokens_from_body(body):
    """Structure of tokens: a list of (spent key, signature), or Refused."""
    if not body["tokens"]:
        raise Refused("payment-empty")
    if len(body["tokens"]) > MAX_TOKENS:
        raise Refused("payment-too-many-tokens")
    if any(a >= b for a, b in zip(body["keysets"], body["keysets"][1:])):
        raise Refused("payment-not-sorted")
    tokens, used = [], set()
    for token in body["tokens"]:
        if token["keyset"] >= len(body["keysets"]):
            raise Refused("payment-keyset-index")
        used.add(token["keyset"])
        if token["denomination"] == 0:
            raise Refused("payment-zero-amount")
        spent = (body["keysets"][token["keyset"]], token["denomination"], token["key"])
        if tokens and tokens[-1][0] == spent:
            raise Refused("payment-duplicate-token")
        if tokens and tokens[-1][0] > spent:
            raise Refused("payment-not-sorted")
        try:
            ristretto.decode_scalar(token["signature"]["s"])
            ristretto.decode_non_zero_scalar(token["signature"]["t"])
        except Refused as error:
            raise Refused("payment-" + error.code) from None
        tokens.append((spent, token["signature"]))
    if len(used) != len(body["keysets"]):
        raise Refused("payment-not-sorted")
    return tokens


def tokens_to_body(tokens):
    keysets = sorted({spent[0] for spent, _ in tokens})
    return {"keysets": keysets, "tokens": [
        {"keyset": keysets.index(spent[0]), "denomination": spent[1], "key": spent[2], "signature": signature}
        for spent, signature in tokens]}


def check_structure(frame):
    """Everything about a payment that needs no curve arithmetic; (tokens, value)."""
    tokens = tokens_from_body(frame["tokens"])
    value = sum(spent[1] for spent, _ in tokens)
    if value > MAX_U64:
        raise Refused("payment-overflow")
    if frame["amount"] == 0:
        raise Refused("payment-zero-amount")
    if value < frame["amount"]:
        raise Refused("payment-insufficient")
    try:
        ristretto.decode_scalar(frame["proof"]["u"])
    except Refused:
        raise Refused("payment-non-canonical-scalar") from None
    return tokens, value


def check_recipient(recipient):
    if len(recipient.encode()) > MAX_RECIPIENT:
        raise Refused("payment-recipient-too-long")


def verify_spending(purpose, s, tokens, proof, keysets):
    """Signatures, then the proof. Points are checked first, as a verifier that decodes everything before it computes does."""
    for spent, signature in tokens:
        keysets.key(spent[0], spent[1])
        try:
            ristretto.decode_point(signature["r"])
            ristretto.decode_point(spent[2])
        except Refused:
            raise Refused("invalid-point") from None
    try:
        ristretto.decode_point(proof["t"])
    except Refused:
        raise Refused("invalid-point") from None
    for (keyset, denomination, key), signature in tokens:
        snowblind.verify(keyset, denomination, keysets.key(keyset, denomination), key, signature)
    proofs.verify(purpose, s, proofs.Tokens([spent for spent, _ in tokens]), proof)


def verify(frame, recipient, subject, keysets):
    """A payment for this recipient and D; the payment id and the change."""
    tokens, value = check_structure(frame)
    s = proofs.statement(recipient.encode(), frame["amount"], frame["deposit_by"], subject)
    verify_spending("pay", s, tokens, frame["proof"], keysets)
    return proofs.payment_id(s, [spent for spent, _ in tokens]), value - frame["amount"]


def pay(tokens, recipient, amount, deposit_by, subject, fresh):
    """Spends owned tokens (spent key, signature, k); (frame, S, payment id)."""
    tokens = sorted(tokens, key=lambda token: token[0])
    s = proofs.statement(recipient.encode(), amount, deposit_by, subject)
    spent = [token[0] for token in tokens]
    proof = proofs.prove("pay", s, proofs.Tokens(spent), [token[2] for token in tokens], fresh)
    body = tokens_to_body([(token[0], token[1]) for token in tokens])
    frame = {"amount": amount, "deposit_by": deposit_by, "tokens": body, "proof": proof}
    return frame, s, proofs.payment_id(s, spent)
