"""Keysets and the signed list of them (spec/keysets.md)."""

import labels
import proofs
import ristretto
import wire
from errors import Refused, recode

DAY = 86_400
PUBLISHED_AHEAD = DAY
SHORTEST_ISSUE = 7 * DAY
MAX_DENOMINATIONS = 32


def unit_name(currency, decimals):
    if len(currency.encode()) != 3 or not all("a" <= c <= "z" for c in currency) or decimals > 9:
        raise Refused("keyset-invalid-unit")
    return f"{currency}/{10 ** decimals}"


def keyset_id(root, number, body):
    transcript = labels.Transcript(labels.KEYSET_ID)
    transcript.u64("number", wire.VERSION).bytes("root", root).u64("number", number).u64("published", body["published"])
    transcript.bytes("unit", unit_name(body["currency"], body["decimals"]).encode())
    for bound in body["windows"]:
        transcript.u64("window", bound)
    transcript.bytes("receipt key", body["receipt_key"]).u64("count", len(body["keys"]))
    for denomination, key in body["keys"]:
        transcript.u64("denomination", denomination).bytes("key", key)
    return transcript.digest()


def next_head(head, number, id_):
    return labels.Transcript(labels.KEYSET_HEAD).bytes("head", head).u64("number", number).bytes("keyset", id_).digest()


def announcement(root, number, head):
    """S of the root key's signature on an entry."""
    return proofs.statement(root, number, 0, head)


class KeysetList:
    """A list whose entries were checked one by one."""

    def __init__(self, root):
        self.root, self.bodies, self.ids, self.heads = root, [], [], []

    def head(self):
        return self.heads[-1] if self.heads else bytes(32)

    def check_next(self, body):
        """Every rule for the next entry, in order; (id, head)."""
        # 1. counts, encodings, unit
        if len(body["keys"]) > MAX_DENOMINATIONS:
            raise Refused("keyset-invalid-denominations")
        for _, key in body["keys"]:
            recode("keyset-invalid-key", ristretto.decode_point, key)
        unit_name(body["currency"], body["decimals"])
        recode("keyset-invalid-key", ristretto.decode_point, body["receipt_key"])
        recode("keyset-invalid-signature", ristretto.decode_scalar, body["proof"]["u"])
        # 2. windows
        windows = body["windows"]
        if windows != sorted(windows) or windows[1] - windows[0] < SHORTEST_ISSUE:
            raise Refused("keyset-invalid-windows")
        # 3. denominations
        denominations = [denomination for denomination, _ in body["keys"]]
        if not denominations or denominations[0] == 0 or any(a >= b for a, b in zip(denominations, denominations[1:])):
            raise Refused("keyset-invalid-denominations")
        # 4. no key twice, anywhere on the list
        keys = [key for _, key in body["keys"]] + [body["receipt_key"]]
        known = {self.root}
        for earlier in self.bodies:
            known |= {earlier["receipt_key"]} | {key for _, key in earlier["keys"]}
        if len(set(keys)) != len(keys) or known & set(keys):
            raise Refused("keyset-repeated-key")
        # 5. published a day ahead, in order
        if self.bodies:
            published = body["published"]
            if published < self.bodies[-1]["published"] or windows[0] < published + PUBLISHED_AHEAD:
                raise Refused("keyset-published-late")
        # 6. overlaps the issuing window of at most one earlier keyset of its unit
        same = [e for e in self.bodies if (e["currency"], e["decimals"]) == (body["currency"], body["decimals"])]
        if sum(e["windows"][1] > windows[0] and windows[1] > e["windows"][0] for e in same) > 1:
            raise Refused("keyset-too-many-issuing")
        number = len(self.bodies)
        id_ = keyset_id(self.root, number, body)
        return id_, next_head(self.head(), number, id_)

    def push(self, body, id_, head):
        self.bodies.append(body)
        self.ids.append(id_)
        self.heads.append(head)

    def announce(self, body, root_secret, fresh):
        """Signs the next entry; `body` comes without its proof."""
        body = dict(body, proof={"t": bytes(32), "u": bytes(32)})
        id_, head = self.check_next(body)
        s = announcement(self.root, len(self.bodies), head)
        body["proof"] = proofs.prove("announce", s, proofs.Lone(self.root), [root_secret], fresh)
        self.push(body, id_, head)
        return id_

    def frame(self):
        return {"root": self.root, "keysets": self.bodies}

    def key(self, keyset, denomination):
        """X of a denomination."""
        if keyset not in self.ids:
            raise Refused("unknown-keyset")
        keys = dict((d, key) for d, key in self.bodies[self.ids.index(keyset)]["keys"])
        if denomination not in keys:
            raise Refused("unknown-denomination")
        return keys[denomination]

    def receipt_keys(self):
        return [body["receipt_key"] for body in self.bodies]


def verify(frame, root):
    """A whole list under a pinned root key."""
    if frame["root"] != root:
        raise Refused("keyset-wrong-root")
    if not frame["keysets"]:
        raise Refused("keyset-empty-list")
    list_ = KeysetList(root)
    for number, body in enumerate(frame["keysets"]):
        id_, head = list_.check_next(body)
        s = announcement(root, number, head)
        recode("keyset-invalid-signature", proofs.verify, "announce", s, proofs.Lone(root), body["proof"])
        list_.push(body, id_, head)
    return list_


def follow(known, frame):
    """A newer list in place of a known one."""
    newer = verify(frame, known.root)
    if any(a != b for a, b in zip(known.heads, newer.heads)):
        raise Refused("keyset-forked")
    if len(newer.heads) < len(known.heads):
        raise Refused("keyset-shortened")
    return newer
