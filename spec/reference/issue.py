"""Issuing sessions, both sides (spec/issue.md)."""

import labels
import payment
import proofs
import recovery as recoveries
import ristretto
import seed
import snowblind
from errors import Refused, recode

MAX_OUTPUTS = 256
FUNDING_NUMBERS = {"Voucher": 0, "Refresh": 1, "Change": 2, "Reclaim": 3, "Recovery": 4}
PURPOSES = {"Voucher": "voucher", "Refresh": "refresh", "Change": "change", "Reclaim": "reclaim", "Recovery": "recover"}


def plan_amount(denominations):
    if not denominations or len(denominations) > MAX_OUTPUTS:
        raise Refused("issue-output-count")
    if denominations != sorted(denominations) or denominations[0] == 0:
        raise Refused("issue-invalid-denominations")
    if sum(denominations) > payment.MAX_U64:
        raise Refused("issue-amount-mismatch")
    return sum(denominations)


def open_digest(keyset, denominations, funding_kind, recovery, commitment):
    """D_open."""
    transcript = labels.Transcript(labels.SESSION_OPEN).bytes("keyset", keyset).u64("count", len(denominations))
    for denomination in denominations:
        transcript.u64("denomination", denomination)
    return transcript.u64("funding", FUNDING_NUMBERS[funding_kind]).bytes("recovery", recovery).bytes("recovery commitment", commitment).digest()


def issue_digest(session, opened, challenges):
    """D_issue."""
    transcript = labels.Transcript(labels.SESSION_ISSUE).bytes("session", session).bytes("digest", opened)
    transcript.u64("count", len(challenges))
    for challenge in challenges:
        transcript.bytes("challenge", challenge)
    return transcript.digest()


def list_from_body(body):
    """A list L: 1 to 24 spent keys, strictly ascending; None if it is not."""
    spent = [(item["keyset"], item["denomination"], item["key"]) for item in body]
    if not 1 <= len(spent) <= payment.MAX_TOKENS or any(a >= b for a, b in zip(spent, spent[1:])):
        return None
    return spent


def list_to_body(spent):
    return [{"keyset": keyset, "denomination": denomination, "key": key} for keyset, denomination, key in spent]


class Funding:
    """What pays: its kind, its list, and for a refresh the tokens' signatures."""

    def __init__(self, body):
        (self.kind, content), = body.items()
        self.tokens = None
        if self.kind == "Voucher":
            recode("issue-invalid-encoding", ristretto.decode_point, content)
            self.list = proofs.Lone(content)
        elif self.kind == "Refresh":
            self.tokens = recode("issue-invalid-funding", payment.tokens_from_body, content)
            self.list = proofs.Tokens([spent for spent, _ in self.tokens])
        elif self.kind == "Recovery":
            self.list = proofs.Tokens(recoveries.spent_keys(content))
        else:
            spent = list_from_body(content["list"])
            if spent is None:
                raise Refused("issue-invalid-funding")
            self.list = proofs.Tokens(spent)
            self.payment_id = proofs.payment_id(content["statement"], spent)


def open_request(root, keyset, denominations, funding, secrets, recovery, commitment, fresh):
    """The frame that opens a session."""
    kind = next(iter(funding))
    s = proofs.statement(root, plan_amount(denominations), 0, open_digest(keyset, denominations, kind, recovery, commitment))
    proof = proofs.prove(PURPOSES[kind], s, Funding(funding).list, secrets, fresh)
    return {"keyset": keyset, "denominations": denominations, "funding": funding, "recovery": recovery, "recovery_commitment": commitment,
            "proof": proof}


class Open:
    """The mint's side of an open request: structure checked here, proof in `verify`."""

    def __init__(self, frame):
        self.frame = frame
        self.amount = plan_amount(frame["denominations"])
        self.funding = Funding(frame["funding"])
        if self.funding.kind in ("Refresh", "Recovery") and sum(spent[1] for spent in self.funding.list.spent) != self.amount:
            raise Refused("issue-amount-mismatch")
        recode("issue-invalid-encoding", ristretto.decode_scalar, frame["proof"]["u"])
        self.digest = open_digest(frame["keyset"], frame["denominations"], self.funding.kind, frame["recovery"],
                                  frame["recovery_commitment"])

    def verify(self, root, keysets):
        s = proofs.statement(root, self.amount, 0, self.digest)
        purpose, proof = PURPOSES[self.funding.kind], self.frame["proof"]
        if self.funding.tokens is not None:
            payment.verify_spending(purpose, s, self.funding.tokens, proof, keysets)
        else:
            proofs.verify(purpose, s, self.funding.list, proof)


def blind(seed_bytes, root, keyset, keysets, denominations, first_index, opened):
    """Blinds one token for each commitment; a list of what the reader keeps."""
    if len(opened["commitments"]) != len(denominations):
        raise Refused("issue-count-mismatch")
    seen, pending = [], []
    for offset, (commitment, denomination) in enumerate(zip(opened["commitments"], denominations)):
        for point in ("a", "b"):
            recode("issue-invalid-encoding", ristretto.decode_point, commitment[point])
        if commitment in seen:
            raise Refused("issue-repeated-commitment")
        seen.append(commitment)
        key = recode("issue-invalid-denominations", keysets.key, keyset, denomination)
        if first_index + offset > payment.MAX_U64:
            raise Refused("issue-unusable-blinding")
        k, r, alpha, beta = seed.token_secrets(seed_bytes, root, keyset, denomination, first_index + offset, commitment, key)
        message = (k * ristretto.G).encode()
        r_point, c = snowblind.blind(keyset, denomination, key, commitment, message, r, alpha, beta)
        pending.append({"denomination": denomination, "key": key, "commitment": commitment, "k": k, "message": message, "r": r,
                        "alpha": alpha, "beta": beta, "r_point": r_point, "c": c})
    return pending


def issue_request(root, session, opened_digest, amount, kind, list_, secrets, challenges, fresh):
    """The frame that asks for the responses."""
    s = proofs.statement(root, amount, 0, issue_digest(session, opened_digest, challenges))
    return {"session": session, "challenges": challenges, "proof": proofs.prove(PURPOSES[kind], s, list_, secrets, fresh)}


def check_issue(frame, root, opened):
    """The mint's side: `opened` is the verified Open of this session; the challenges as scalars."""
    if not 1 <= len(frame["challenges"]) <= MAX_OUTPUTS:
        raise Refused("issue-output-count")
    challenges = [recode("issue-invalid-encoding", ristretto.decode_scalar, challenge) for challenge in frame["challenges"]]
    recode("issue-invalid-encoding", ristretto.decode_scalar, frame["proof"]["u"])
    if len(challenges) != len(opened.frame["denominations"]):
        raise Refused("issue-count-mismatch")
    s = proofs.statement(root, opened.amount, 0, issue_digest(frame["session"], opened.digest, frame["challenges"]))
    recode("issue-invalid-proof", proofs.verify, PURPOSES[opened.funding.kind], s, opened.funding.list, frame["proof"])
    return challenges


def unblind(keyset, pending, frame):
    """Owned tokens (spent key, signature, k), in the order of the outputs."""
    if len(frame["responses"]) != len(pending):
        raise Refused("issue-count-mismatch")
    tokens = []
    for one, body in zip(pending, frame["responses"]):
        b = recode("issue-invalid-encoding", ristretto.decode_scalar, body["b"])
        y = recode("issue-invalid-encoding", ristretto.decode_non_zero_scalar, body["y"])
        z = recode("issue-invalid-encoding", ristretto.decode_scalar, body["z"])
        signature = snowblind.unblind(one["key"], one["commitment"], one["r"], one["alpha"], one["r_point"], one["c"], (b, y, z))
        tokens.append(((keyset, one["denomination"], one["message"]), signature, one["k"]))
    return tokens
