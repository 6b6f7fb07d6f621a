"""What the vectors are made of: a mint with two keysets, readers and publishers, all from one documented seed.

Every random value is `rand(label, n)` = the first n bytes of SHAKE256("farthing/1 vectors " || label). A random scalar is 64 such bytes,
little-endian, reduced modulo l; it is drawn again under another label if it must not be zero (it never is).
"""

import hashlib

import issue
import keysets
import payment
import proofs
import recovery as recovery_
import ristretto
import seed
import snowblind
from ristretto import G

DAY = 86_400
START = 1_800_000_000
DENOMINATIONS = [factor * 10**power for power in range(5) for factor in (1, 2, 5)] + [100_000]


def rand(label, count):
    return hashlib.shake_256(b"farthing/1 vectors " + label.encode()).digest(count)


def wide(label):
    """The 64 bytes a random scalar is made of."""
    return rand(label, 64)


def scalar(label):
    return ristretto.wide_scalar(wide(label))


def public(secret):
    return (secret * G).encode()


def windows(start):
    return [start, start + 30 * DAY, start + 60 * DAY, start + 90 * DAY, start + 120 * DAY]


class Mint:
    """A root key and its keysets; `name` tells one mint's keys from another's."""

    def __init__(self, name):
        self.name = name
        self.root_secret = scalar(f"{name} root")
        self.root = public(self.root_secret)
        self.receipt_secrets, self.secrets = [], {}
        self.list = keysets.KeysetList(self.root)

    def proposal(self, published, start, denominations=DENOMINATIONS, number=None):
        """The body of the next keyset, without its proof."""
        number = len(self.list.bodies) if number is None else number
        receipt = scalar(f"{self.name} receipt {number}")
        keys = [[d, public(scalar(f"{self.name} key {number} {d}"))] for d in denominations]
        return {"published": published, "currency": "eur", "decimals": 5, "windows": windows(start), "receipt_key": public(receipt),
                "keys": keys}

    def announce(self, published, start):
        number = len(self.list.bodies)
        body = self.proposal(published, start)
        id_ = self.list.announce(body, self.root_secret, rand(f"{self.name} announce {number}", 32))
        self.receipt_secrets.append(scalar(f"{self.name} receipt {number}"))
        for denomination in DENOMINATIONS:
            self.secrets[id_, denomination] = scalar(f"{self.name} key {number} {denomination}")
        return id_

    def token(self, number, denomination, label):
        """An owned token (spent key, signature, k), issued blindly with randomness of its own."""
        keyset = self.list.ids[number]
        k, x = scalar(f"token {label}"), self.secrets[keyset, denomination]
        a, b, y = (scalar(f"token {label} {name}") for name in "aby")
        r, alpha, beta = (scalar(f"token {label} {name}") for name in ("r", "alpha", "beta"))
        commitment, key, message = snowblind.commit(a, b, y), public(x), public(k)
        r_point, c = snowblind.blind(keyset, denomination, key, commitment, message, r, alpha, beta)
        response = snowblind.respond(x, a, b, y, c)
        signature = snowblind.unblind(key, commitment, r, alpha, r_point, c, response)
        return (keyset, denomination, message), signature, k

    def session(self, label, seed_bytes, keyset_number, denominations, funding, secrets, first_index, recovery_index):
        """A whole issuing session with everything that happened in it."""
        keyset, root = self.list.ids[keyset_number], self.root
        recovery = seed.recovery_hash(seed_bytes, root, recovery_index)
        leaves = recovery_.session_leaves(seed_bytes, root, keyset, denominations, first_index)
        fresh = [rand(f"{label} {step} fresh", 32) for step in ("open", "issue")]
        request = issue.open_request(root, keyset, denominations, funding, secrets, recovery, recovery_.commitment(leaves),
                                     fresh[0])
        open_ = issue.Open(request)
        open_.verify(root, self.list)
        nonces = [[wide(f"{label} {i} {name}") for name in "aby"] for i in range(len(denominations))]
        scalars = [[ristretto.wide_scalar(part) for part in three] for three in nonces]
        opened = {"session": rand(f"{label} session", 16), "expires": START + 120, "commitments": [snowblind.commit(*n) for n in scalars]}
        pending = issue.blind(seed_bytes, root, keyset, self.list, denominations, first_index, opened)
        challenges = [ristretto.encode_scalar(one["c"]) for one in pending]
        asked = issue.issue_request(root, opened["session"], open_.digest, open_.amount, open_.funding.kind, open_.funding.list, secrets,
                                    challenges, fresh[1])
        checked = issue.check_issue(asked, root, open_)
        responses = []
        for denomination, (a, b, y), c in zip(denominations, scalars, checked):
            three = snowblind.respond(self.secrets[keyset, denomination], a, b, y, c)
            responses.append(dict(zip("byz", map(ristretto.encode_scalar, three))))
        answer = {"responses": responses}
        tokens = issue.unblind(keyset, pending, answer)
        for (_, denomination, message), signature, _ in tokens:
            snowblind.verify(keyset, denomination, self.list.key(keyset, denomination), message, signature)
        return {"keyset": keyset, "denominations": denominations, "funding": funding, "seed": seed_bytes, "first_index": first_index,
                "recovery_index": recovery_index, "recovery": recovery, "recovery_commitment": recovery_.commitment(leaves), "fresh": fresh, "nonces": nonces, "open": open_,
                "request": request, "opened": opened, "pending": pending, "asked": asked, "answer": answer, "tokens": tokens}


def mint():
    """The mint of the vectors: two keysets of `eur/100000`, whose issuing overlaps by two days."""
    one = Mint("mint")
    one.announce(START, START)
    one.announce(START + 20 * DAY, START + 28 * DAY)
    return one


def payment_of(mint_, tokens, recipient, amount, subject, label, deposit_by=START + 61 * DAY):
    frame, s, id_ = payment.pay(tokens, recipient, amount, deposit_by, subject, rand(f"{label} fresh", 32))
    assert payment.verify(frame, recipient, subject, mint_.list)[0] == id_
    return frame, s, id_


def spent_of(tokens):
    return sorted(token[0] for token in tokens)


def prove_tokens(purpose, s, tokens, label):
    tokens = sorted(tokens, key=lambda token: token[0])
    return proofs.prove(purpose, s, proofs.Tokens([t[0] for t in tokens]), [t[2] for t in tokens], rand(f"{label} fresh", 32))
