"""Double-spend proofs (spec/payment.md, section 6)."""

import issue
import proofs
import ristretto
import snowblind
from errors import Refused, recode


def side_of(s, spent, proof):
    return {"statement": s, "list": issue.list_to_body(spent), "proof": proof}


def side_id(side):
    """Checks one side's form; its payment id."""
    spent = issue.list_from_body(side["list"])
    if spent is None:
        raise Refused("evidence-invalid-list")
    recode("evidence-invalid-proof", ristretto.decode_scalar, side["proof"]["u"])
    return proofs.payment_id(side["statement"], spent)


def make(token, signature, sides):
    sides = sorted(sides, key=side_id)
    return {"token": issue.list_to_body([token])[0], "signature": signature, "sides": sides}


def verify(frame, keysets):
    """Holds, or Refused. Anybody can check it with public keys only; the two payment ids."""
    recode("evidence-invalid-signature", ristretto.decode_scalar, frame["signature"]["s"])
    recode("evidence-invalid-signature", ristretto.decode_non_zero_scalar, frame["signature"]["t"])
    ids = [side_id(side) for side in frame["sides"]]
    if ids[0] == ids[1]:
        raise Refused("evidence-same-payment")
    if ids[0] > ids[1]:
        raise Refused("evidence-invalid-list")
    if any(frame["token"] not in side["list"] for side in frame["sides"]):
        raise Refused("evidence-not-shared")
    token = frame["token"]
    key = recode("evidence-unknown-key", keysets.key, token["keyset"], token["denomination"])
    recode("evidence-invalid-signature", snowblind.verify, token["keyset"], token["denomination"], key, token["key"],
           frame["signature"])
    for side in frame["sides"]:
        list_ = proofs.Tokens(issue.list_from_body(side["list"]))
        recode("evidence-invalid-proof", proofs.verify, "pay", side["statement"], list_, side["proof"])
    return ids
