"""Getting tokens back from a seed and what the mint recorded (spec/restore.md)."""

import issue
import seed
from errors import Refused
from payment import MAX_U64

MAX_SESSIONS = 64
GAP = 1 << 16


def order(session):
    return session["recovery"], session["outputs"][0]["commitment"]["a"]


def recorded(recovery, denominations, commitments, responses):
    """A session as the mint records it."""
    outputs = [{"denomination": denomination, "commitment": commitment, "response": response}
               for denomination, commitment, response in zip(denominations, commitments, responses)]
    return {"recovery": recovery, "outputs": outputs}


def bucket(keyset, number, sessions):
    return {"keyset": keyset, "bucket": number, "sessions": sorted(sessions, key=order)}


def check(frame, keyset, number):
    """Checks the bucket that was asked for."""
    if frame["keyset"] != keyset or frame["bucket"] != number:
        raise Refused("restore-wrong-bucket")
    for session in frame["sessions"]:
        denominations = [output["denomination"] for output in session["outputs"]]
        if not 1 <= len(denominations) <= issue.MAX_OUTPUTS:
            raise Refused("restore-output-count")
        if denominations[0] == 0 or denominations != sorted(denominations):
            raise Refused("restore-invalid-denominations")
    if len(frame["sessions"]) > MAX_SESSIONS:
        raise Refused("restore-too-many-sessions")
    if any(order(a) >= order(b) for a, b in zip(frame["sessions"], frame["sessions"][1:])):
        raise Refused("restore-not-sorted")


def find(seed_bytes, root, start, hashes, gap=GAP):
    """(index, recovery hash) of every known hash that is the seed's."""
    found, index, missed = [], start, 0
    while missed < gap and index <= MAX_U64:
        hash_ = seed.recovery_hash(seed_bytes, root, index)
        missed += 1
        if hash_ in hashes:
            found.append((index, hash_))
            missed = 0
        index += 1
    return found


def restore(session, seed_bytes, root, keyset, keysets, first_index):
    """The tokens of one recorded session; refused if it is not one of the seed at this index."""
    denominations = [output["denomination"] for output in session["outputs"]]
    opened = {"commitments": [output["commitment"] for output in session["outputs"]]}
    pending = issue.blind(seed_bytes, root, keyset, keysets, denominations, first_index, opened)
    return issue.unblind(keyset, pending, {"responses": [output["response"] for output in session["outputs"]]})


def restore_all(frame, seed_bytes, root, keysets, gap=GAP):
    """(tokens, how many sessions had a hash of the seed and were not its own)."""
    tokens, passed_over = [], 0
    hashes = {session["recovery"] for session in frame["sessions"]}
    for index, hash_ in find(seed_bytes, root, 0, hashes, gap):
        for session in frame["sessions"]:
            if session["recovery"] != hash_:
                continue
            try:
                tokens += restore(session, seed_bytes, root, frame["keyset"], keysets, index)
            except Refused:
                passed_over += 1
    return tokens, passed_over
