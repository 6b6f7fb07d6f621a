"""Payments that are not well formed, that do not verify, or whose errors would cancel in a batch; double-spend proofs that prove nothing."""

import copy

import evidence
import payment
import positive
import proofs
import ristretto
import snowblind
import wire
import world
from defects import IDENTITY, NON_CANONICAL_POINT, NON_CANONICAL_SCALAR, changed, plus, vector
from positive import SUBJECT
from world import DAY, START, prove_tokens, public, rand, scalar, spent_of


def structures(mint):
    """Payments that are refused before any curve arithmetic."""
    tokens, recipient, amount = positive.payments(mint)["mixed-keysets"]
    good, _, _ = world.payment_of(mint, tokens, recipient, amount, SUBJECT, "mixed-keysets")
    cases = []

    def add(name, error, harm, change):
        data = wire.PAYMENT.encode(changed(good, change))
        cases.append(vector("payment", name, "payment", error, harm, {"frame": data}))

    def body(change):
        return lambda frame: change(frame["tokens"])

    def many(frame):
        frame["tokens"]["keysets"] = frame["tokens"]["keysets"][:1]
        frame["tokens"]["tokens"] = [dict(frame["tokens"]["tokens"][0], keyset=0, denomination=1, key=n.to_bytes(32, "big"))
                                     for n in range(25)]

    def overflow(frame):
        for token in frame["tokens"]["tokens"][-2:]:
            token["keyset"], token["denomination"] = 1, 2**63
        frame["tokens"]["tokens"][-2:] = sorted(frame["tokens"]["tokens"][-2:], key=lambda token: token["key"])

    def set_signature(name, value):
        return body(lambda tokens: tokens["tokens"][1]["signature"].update({name: value}))

    add("no-tokens", "payment-empty", "an article for nothing", body(lambda t: t.update(keysets=[], tokens=[])))
    add("twenty-five-tokens", "payment-too-many-tokens", "a payment that costs more to check than it is worth", many)
    add("token-twice", "payment-duplicate-token", "one token pays twice in one payment",
        body(lambda t: t["tokens"].insert(1, copy.deepcopy(t["tokens"][0]))))
    add("tokens-swapped", "payment-not-sorted", "one payment has many encodings", body(lambda t: t["tokens"].insert(0, t["tokens"].pop(1))))
    add("keysets-swapped", "payment-not-sorted", "one payment has many encodings", body(lambda t: t["keysets"].reverse()))
    add("keyset-twice", "payment-not-sorted", "one token is two different ones by its index",
        body(lambda t: t["keysets"].insert(1, t["keysets"][0])))
    def remapped(table, index_of):
        def change(tokens):
            tokens["keysets"] = [tokens["keysets"][n] for n in table]
            for number, token in enumerate(tokens["tokens"]):
                token["keyset"] = index_of(number, token["keyset"])
        return body(change)

    add("keyset-table-not-sorted", "payment-not-sorted", "one payment has many encodings", remapped([1, 0], lambda _, index: 1 - index))
    add("keyset-twice-and-used-twice", "payment-not-sorted", "one payment has many encodings", remapped(
        [0, 0, 1], lambda number, index: 1 + index if number else 0))
    add("keyset-unused", "payment-not-sorted", "one payment has many encodings; a mark that traces it", body(
        lambda t: t["keysets"].append(b"\xff" * 32)))
    add("keyset-index-outside", "payment-keyset-index", "reading beyond the table", body(lambda t: t["tokens"][-1].update(keyset=2)))
    add("denomination-zero", "payment-zero-amount", "worthless tokens fill a payment", body(lambda t: t["tokens"][0].update(denomination=0)))
    add("amount-zero", "payment-zero-amount", "an article for nothing", lambda frame: frame.update(amount=0))
    add("sum-overflows", "payment-overflow", "two huge tokens wrap around to the price", overflow)
    add("amount-above-value", "payment-insufficient", "the publisher is paid less than the price", lambda frame: frame.update(amount=722))
    add("signature-s-not-canonical", "payment-non-canonical-scalar", "one payment has many encodings", set_signature("s", NON_CANONICAL_SCALAR))
    add("signature-t-not-canonical", "payment-non-canonical-scalar", "one payment has many encodings", set_signature("t", NON_CANONICAL_SCALAR))
    add("signature-t-zero", "payment-zero-scalar", "the part that makes signatures one-more unforgeable drops out", set_signature("t", bytes(32)))
    add("proof-u-not-canonical", "payment-non-canonical-scalar", "one payment has many encodings",
        lambda frame: frame["proof"].update(u=NON_CANONICAL_SCALAR))
    data = wire.DEPOSIT_REQUEST.encode({"seen": None, "payments": [{"recipient": "n" * 261, "subject": SUBJECT, "payment": good}]})
    cases.append(vector("payment", "recipient-of-261-bytes", "deposit", "payment-recipient-too-long",
                        "names without bound in the ledger", {"frame": data}))
    return cases


def spends(mint, context):
    """Well-formed payments that do not verify."""
    tokens, recipient, amount = positive.payments(mint)["mixed-keysets"]
    good, s, _ = world.payment_of(mint, tokens, recipient, amount, SUBJECT, "mixed-keysets")
    cases = []

    def add(name, error, harm, frame, recipient=recipient, subject=SUBJECT):
        given = {**context, "frame": wire.PAYMENT.encode(frame), "recipient": recipient, "subject": subject}
        cases.append(vector("proof", name, "spend", error, harm, given))

    def token(index, **update):
        return changed(good, lambda frame: frame["tokens"]["tokens"][index].update(update))

    def signature(index, **update):
        return changed(good, lambda frame: frame["tokens"]["tokens"][index]["signature"].update(update))

    def proof(**update):
        return changed(good, lambda frame: frame["proof"].update(update))

    one = [mint.token(0, 500, "one")]
    single, s_one, _ = world.payment_of(mint, one, "news.example", 500, SUBJECT, "one-token")
    other_mint = world.Mint("other mint")
    other_mint.announce(START, START)
    foreign, _, _ = world.payment_of(other_mint, [other_mint.token(0, 500, "foreign")], "news.example", 500, SUBJECT, "foreign")
    add("keyset-of-another-mint", "unknown-keyset", "another mint's money is taken for this one's", foreign, "news.example")
    add("keyset-copied-by-another-mint", "invalid-signature", "a token of one mint pays at another",
        changed(foreign, lambda f: f["tokens"].update(keysets=[mint.list.ids[0]])), "news.example")
    add("denomination-not-announced", "unknown-denomination", "a value nobody signed", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(denomination=501)), "news.example")
    add("denomination-raised", "invalid-signature", "a cent is spent as a euro", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(denomination=100_000)), "news.example")
    add("keyset-exchanged", "invalid-signature", "a token of a closed keyset lives on", changed(
        single, lambda f: f["tokens"].update(keysets=[mint.list.ids[1]])), "news.example")
    add("signature-r-not-canonical", "invalid-point", "one signature has many encodings", signature(0, r=NON_CANONICAL_POINT))
    add("signature-r-identity", "invalid-point", "a signature without commitment", signature(0, r=IDENTITY))
    add("token-key-not-canonical", "invalid-point", "one token under two spent keys", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(key=NON_CANONICAL_POINT)), "news.example")
    add("token-key-identity", "invalid-point", "anybody knows the secret of the identity", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(key=IDENTITY)), "news.example")
    add("proof-t-not-canonical", "invalid-point", "one proof has many encodings", proof(t=NON_CANONICAL_POINT))
    add("proof-t-identity", "invalid-point", "a proof without nonce", proof(t=IDENTITY))
    add("signature-s-changed", "invalid-signature", "a forged token is spent", signature(2, s=plus(
        good["tokens"]["tokens"][2]["signature"]["s"], 1)))
    add("signature-t-negated", "invalid-signature", "one signature makes another", signature(2, t=ristretto.encode_scalar(
        -int.from_bytes(good["tokens"]["tokens"][2]["signature"]["t"], "little"))))
    add("signatures-exchanged", "invalid-signature", "one signature serves two tokens", changed(good, lambda f: f["tokens"]["tokens"][0].update(
        signature=f["tokens"]["tokens"][1]["signature"])))
    add("message-exchanged", "invalid-signature", "a stranger's key under a bought signature", changed(
        single, lambda f: f["tokens"]["tokens"][0].update(key=public(scalar("stranger")))), "news.example")
    add("proof-u-changed", "invalid-proof", "tokens are spent without their keys", proof(u=plus(good["proof"]["u"], 1)))
    add("recipient-exchanged", "invalid-proof", "a publisher deposits a payment made to another", good, "thief.example")
    add("subject-exchanged", "invalid-proof", "a payment opens another article", good, subject=rand("other subject", 32))
    add("amount-raised", "invalid-proof", "the publisher takes the change", dict(good, amount=amount + 1))
    add("amount-lowered", "invalid-proof", "somebody takes part of the price as change", dict(good, amount=amount - 1))
    add("deadline-moved", "invalid-proof", "a payment is deposited after the reader refreshed its tokens", dict(
        good, deposit_by=good["deposit_by"] + 1))
    add("token-left-out", "invalid-proof", "somebody splits a payment", changed(
        good, lambda f: f["tokens"]["tokens"].pop(1)) | {"amount": 100})
    for purpose in ("refresh", "change", "reread"):
        add(f"proof-of-purpose-{purpose}", "invalid-proof", "a proof shown for one purpose pays for another", dict(
            single, proof=prove_tokens(purpose, s_one, one, f"{purpose} as pay")), "news.example")
    two = sorted([mint.token(0, 500, "one"), mint.token(0, 20, "many d")], key=lambda t: t[0])
    two_frame, s_two, _ = world.payment_of(mint, two, "news.example", 520, SUBJECT, "two")
    add("proof-by-half-the-keys", "invalid-proof", "a payment carries a stranger's token", dict(two_frame, proof=half_proof(s_two, two)), "news.example")
    shared, frame = shared_coefficient(mint)
    add("proof-with-one-shared-coefficient", "invalid-proof", "with one shared e a stranger's token can be spent", frame, shared)
    add("proof-of-a-lone-key", "invalid-proof", "a voucher's proof pays as a token's", dict(
        single, proof=proofs.prove("pay", s_one, proofs.Lone(one[0][0][2]), [one[0][2]], rand("lone as pay", 32))), "news.example")
    return cases + batches(mint, context)


def half_proof(s, tokens):
    """A proof over the whole list by a prover who knows all keys but the last."""
    list_ = proofs.Tokens([t[0] for t in tokens])
    nonce = scalar("half proof")
    t = public(nonce)
    e = proofs.coefficients(proofs.transcript_of("pay", s, list_), t, len(tokens))
    u = nonce + sum(a * token[2] for a, token in list(zip(e, tokens))[:-1])
    return {"t": t, "u": ristretto.encode_scalar(u)}


def shared_coefficient(mint):
    """A thief's proof that would hold if all e_i were e_1: own token's key P_1 = P' - P_2 with P_2 a stranger's token.

    The thief cannot get P_1 signed without knowing it, so it asks the mint for a signature on P_1 = k'G - P_2: blind issuing lets it.
    """
    stranger = mint.token(0, 20, "many d")
    keyset, denomination = mint.list.ids[0], 500
    k_prime, x = scalar("shared k"), mint.secrets[keyset, denomination]
    message = (k_prime * ristretto.G - ristretto.decode(stranger[0][2])).encode()
    a, b, y, r, alpha, beta = (scalar(f"shared {name}") for name in ("a", "b", "y", "r", "alpha", "beta"))
    commitment = snowblind.commit(a, b, y)
    r_point, c = snowblind.blind(keyset, denomination, public(x), commitment, message, r, alpha, beta)
    signature = snowblind.unblind(public(x), commitment, r, alpha, r_point, c, snowblind.respond(x, a, b, y, c))
    tokens = sorted([((keyset, denomination, message), signature), (stranger[0], stranger[1])], key=lambda t: t[0])
    s = proofs.statement(b"thief.example", 520, START + 61 * DAY, SUBJECT)
    list_ = proofs.Tokens([t[0] for t in tokens])
    nonce = scalar("shared nonce")
    e = proofs.coefficients(proofs.transcript_of("pay", s, list_), public(nonce), 2)
    proof = {"t": public(nonce), "u": ristretto.encode_scalar(nonce + e[0] * k_prime)}
    frame = {"amount": 520, "deposit_by": START + 61 * DAY, "tokens": payment.tokens_to_body(tokens), "proof": proof}
    return "thief.example", frame


def batches(mint, context):
    """Errors that cancel if equations share a weight."""
    made = []
    for label in ("one", "http"):
        made.append(world.payment_of(mint, [mint.token(0, 500, label)], "news.example", 500, SUBJECT, f"batch {label}")[0])
    cases = []

    def add(name, harm, payments, codes):
        given = {**context, "payments": [{"frame": wire.PAYMENT.encode(p), "recipient": "news.example", "subject": SUBJECT}
                                         for p in payments], "codes": codes}
        cases.append(vector("proof", name, "batch", next(code for code in codes if code), harm, given))

    def shift(frame, delta):
        token = frame["tokens"]["tokens"][0]["signature"]
        return changed(frame, lambda f: f["tokens"]["tokens"][0]["signature"].update(s=plus(token["s"], delta)))

    def shift_proof(frame, delta):
        return changed(frame, lambda f: f["proof"].update(u=plus(frame["proof"]["u"], delta)))

    add("batch-errors-cancel-between-payments", "one weight for the batch accepts two forged tokens",
        [shift(made[0], 1), shift(made[1], -1)], ["invalid-signature"] * 2)
    add("batch-errors-cancel-within-a-payment", "one weight for a payment accepts a forged token under a false proof",
        [shift_proof(shift(made[0], 1), -1), made[1]], ["invalid-signature", None])
    add("batch-proofs-cancel-between-payments", "one weight for all proofs accepts tokens without their keys",
        [shift_proof(made[0], 1), shift_proof(made[1], -1)], ["invalid-proof"] * 2)
    return cases


def evidences(mint, context):
    good, (first, second), statements = positive.double_spend(mint)
    sides = {evidence.side_id(side): number for number, side in enumerate(good["sides"])}
    by_first = sides[proofs.payment_id(statements[0], spent_of(first))]
    cases = []

    def add(name, error, harm, frame):
        cases.append(vector("evidence", name, "evidence", error, harm, {**context, "frame": wire.DOUBLE_SPEND.encode(frame)}))

    def side(number, **update):
        return changed(good, lambda f: f["sides"][number].update(update))

    def ordered(frame):
        return dict(frame, sides=sorted(frame["sides"], key=evidence.side_id))

    add("same-payment-twice", "evidence-same-payment", "sending a payment again is called a double-spend", dict(good, sides=[good["sides"][0]] * 2))
    innocent = [mint.token(0, 20, "many d")]
    frame, s, _ = world.payment_of(mint, innocent, "news.example", 20, SUBJECT, "innocent")
    add("token-in-one-list-only", "evidence-not-shared", "two honest payments accuse a reader", evidence.make(
        first[0][0], first[0][1], [good["sides"][by_first], evidence.side_of(s, spent_of(innocent), frame["proof"])]))
    add("list-empty", "evidence-invalid-list", "a list says nothing", side(0, list=[]))
    add("list-of-twenty-five", "evidence-invalid-list", "lists no payment can have", side(0, list=[
        {"keyset": bytes(32), "denomination": 1, "key": n.to_bytes(32, "big")} for n in range(25)]))
    long = 1 - by_first
    add("list-not-sorted", "evidence-invalid-list", "one payment has many ids, and one payment looks like two", side(
        long, list=good["sides"][long]["list"][::-1]))
    add("list-with-a-token-twice", "evidence-invalid-list", "one payment has many ids", side(
        by_first, list=good["sides"][by_first]["list"] * 2))
    add("sides-in-wrong-order", "evidence-invalid-list", "one proof has two encodings", dict(good, sides=good["sides"][::-1]))
    add("signature-changed", "evidence-invalid-signature", "a reader is accused with a token that never existed", changed(
        good, lambda f: f["signature"].update(s=plus(f["signature"]["s"], 1))))
    add("signature-s-not-canonical", "evidence-invalid-signature", "one proof has many encodings", changed(
        good, lambda f: f["signature"].update(s=NON_CANONICAL_SCALAR)))
    add("signature-t-zero", "evidence-invalid-signature", "a forged signature accuses", changed(good, lambda f: f["signature"].update(t=bytes(32))))
    add("signature-r-identity", "evidence-invalid-signature", "a signature without commitment", changed(
        good, lambda f: f["signature"].update(r=IDENTITY)))
    add("proof-changed", "evidence-invalid-proof", "a payment nobody made accuses", side(0, proof=dict(
        good["sides"][0]["proof"], u=plus(good["sides"][0]["proof"]["u"], 1))))
    add("proof-u-not-canonical", "evidence-invalid-proof", "one proof has many encodings", side(0, proof=dict(
        good["sides"][0]["proof"], u=NON_CANONICAL_SCALAR)))
    add("proof-t-identity", "evidence-invalid-proof", "a proof without nonce", side(0, proof=dict(good["sides"][0]["proof"], t=IDENTITY)))
    refresh = prove_tokens("refresh", statements[0], first, "evidence refresh")
    add("refresh-as-a-side", "evidence-invalid-proof", "a payment and a refresh are called a double-spend", side(by_first, proof=refresh))
    framed = {"keyset": mint.list.ids[0], "denomination": 20, "key": innocent[0][0][2]}
    forged = changed(good, lambda f: f["sides"][by_first].update(list=sorted(
        f["sides"][by_first]["list"] + [framed], key=lambda k: (k["keyset"], k["denomination"], k["key"]))))
    other_side = evidence.side_of(s, spent_of(innocent), frame["proof"])
    add("innocent-token-put-into-a-list", "evidence-invalid-proof", "any reader is framed by a list it never signed", ordered(
        dict(forged, token=framed, signature=innocent[0][1], sides=[forged["sides"][by_first], other_side])))
    s_exchanged = side(0, statement=rand("opaque", 32))
    add("statement-exchanged", "evidence-invalid-proof", "one payment looks like two", ordered(s_exchanged))
    foreign = changed(good, lambda f: [f["token"].update(keyset=rand("foreign keyset", 32))] + [
        side_["list"].__setitem__(slice(None), sorted([dict(key, keyset=f["token"]["keyset"]) if key["key"] == first[0][0][2] else key
                                                       for key in side_["list"]],
                                                      key=lambda k: (k["keyset"], k["denomination"], k["key"])))
        for side_ in f["sides"]])
    add("keyset-not-announced", "evidence-unknown-key", "accusations about money of another mint", ordered(foreign))
    raised = changed(good, lambda f: [f["token"].update(denomination=501)] + [
        key.update(denomination=501) for side_ in f["sides"] for key in side_["list"] if key["key"] == first[0][0][2]])
    add("denomination-not-announced", "evidence-unknown-key", "accusations about money that does not exist", ordered(raised))
    return cases
