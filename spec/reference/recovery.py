"""What holders of a frozen denomination show to be paid back (spec/restore.md, section 5)."""

import labels
import ristretto
import seed
import snowblind
from errors import Refused

MAX_OUTPUTS, MAX_TOKENS = 256, 24


def session_leaves(seed_bytes, root, keyset, denominations, first_index):
    """Hash(u) of every output."""
    return [seed.recovery_leaf(seed.recovery_secret(seed_bytes, root, keyset, denomination, first_index + position))
            for position, denomination in enumerate(denominations)]


def commitment(leaves):
    """C."""
    transcript = labels.Transcript(labels.RECOVERY_COMMITMENT).u64("count", len(leaves))
    for leaf in leaves:
        transcript.bytes("leaf", leaf)
    return transcript.digest()


def claim(seed_bytes, root, keyset, denominations, first_index, places):
    """The body of a claim on tokens (position, P)."""
    claims = [{"position": position, "denomination": denominations[position], "key": key,
               "secret": seed.recovery_secret(seed_bytes, root, keyset, denominations[position], first_index + position)}
              for position, key in places]
    return {"keyset": keyset, "session": seed.recovery_hash(seed_bytes, root, first_index),
            "leaves": session_leaves(seed_bytes, root, keyset, denominations, first_index),
            "claims": sorted(claims, key=lambda one: (one["denomination"], one["key"]))}


def spent_keys(body):
    """Checks the form of a claim; the list L."""
    order = [(one["denomination"], one["key"]) for one in body["claims"]]
    good = 1 <= len(body["leaves"]) <= MAX_OUTPUTS and 1 <= len(order) <= MAX_TOKENS and all(a < b for a, b in zip(order, order[1:]))
    if not good or any(one["position"] >= len(body["leaves"]) or one["denomination"] == 0 for one in body["claims"]):
        raise Refused("issue-invalid-funding")
    return [(body["keyset"], denomination, key) for denomination, key in order]


def verify(body, session, keysets):
    """Checks that a recorded session, booked under this hash and commitment, leads to the tokens claimed."""
    try:
        if session["recovery"] != body["session"] or len(session["outputs"]) != len(body["leaves"]):
            raise Refused("issue-invalid-recovery")
        for one in body["claims"]:
            output = session["outputs"][one["position"]]
            if output["denomination"] != one["denomination"] or seed.recovery_leaf(one["secret"]) != body["leaves"][one["position"]]:
                raise Refused("issue-invalid-recovery")
            key = keysets.key(body["keyset"], one["denomination"])
            r, alpha, beta = seed.blinding(one["secret"], body["keyset"], one["denomination"], output["commitment"], key)
            r_point, c = snowblind.blind(body["keyset"], one["denomination"], key, output["commitment"], one["key"], r, alpha, beta)
            response = (ristretto.decode_scalar(output["response"]["b"]), ristretto.decode_non_zero_scalar(output["response"]["y"]),
                        ristretto.decode_scalar(output["response"]["z"]))
            snowblind.unblind(key, output["commitment"], r, alpha, r_point, c, response)
    except Refused:
        raise Refused("issue-invalid-recovery") from None
