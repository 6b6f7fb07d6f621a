"""Refund requests, their answers, and buckets of recorded sessions that must be refused."""

import positive
import proofs
import receipt
import refund
import settle
import wire
import world
from defects import IDENTITY, NON_CANONICAL_SCALAR, changed, plus, vector
from positive import REFUND_MARK, START, SUBJECT
from world import public, rand, scalar


def receipts(mint):
    tokens, recipient, amount = positive.payments(mint)["one-token"]
    _, _, id_ = world.payment_of(mint, tokens, recipient, amount, SUBJECT, "one-token")
    secret = scalar("publisher key")
    said = {"payment_id": id_, "publisher": recipient, "amount": amount, "settled": False, "resource": rand("receipt resource", 32),
            "paid_at": START + 100, "access_until": START + 86_500}
    good = receipt.sign(said, secret, rand("negative receipt fresh", 32))
    cases = []

    def add(name, harm, proof=good, key=secret, **more):
        given = {**said, **more, "key": public(key), **proof}
        cases.append(vector("proof", f"receipt-{name}", "receipt", "invalid-proof", harm, given))

    add("of-another-payment", "one receipt serves for two payments", payment_id=rand("other payment", 32))
    add("of-another-publisher", "a publisher answers for what another took", publisher="blog.example")
    add("of-another-amount", "a reader claims to have paid more", amount=amount + 1)
    add("accepted-made-settled", "a publisher is held to have been paid", settled=True)
    add("for-another-article", "a reader claims another article", resource=rand("other resource", 32))
    add("paid-at-another-time", "a reader moves its payment in time", paid_at=START + 101)
    add("access-prolonged", "a reader reads for longer than it paid for", access_until=START + 86_501)
    add("times-exchanged", "times change places", paid_at=START + 86_500, access_until=START + 100)
    add("by-another-key", "anybody signs receipts", key=scalar("stranger"))
    add("proof-changed", "anybody signs receipts", dict(good, u=plus(good["u"], 1)))
    refund_proof = proofs.prove("refund", receipt.statement(said), proofs.Lone(public(secret)), [secret], rand("negative receipt fresh", 32))
    add("of-purpose-refund", "a signature made for something else is a receipt", refund_proof)
    return cases


def refunds(mint, context):
    tokens, recipient, amount = positive.payments(mint)["one-token"]
    _, _, id_ = world.payment_of(mint, tokens, recipient, amount, SUBJECT, "one-token")
    secret = scalar("publisher key")
    cases = []

    def add(name, error, harm, frame, **more):
        given = {"root": mint.root, "key": public(secret), "frame": wire.REFUND_REQUEST.encode(frame), **more}
        cases.append(vector("refund", f"request-{name}", "refund", error, harm, given))

    def ask(root=mint.root, payment_id=id_, publisher=recipient, key=secret):
        return refund.request(root, payment_id, publisher, key, rand("negative refund fresh", 32))

    bad, anybody = "refund-invalid-proof", "anybody gives a publisher's earnings back"
    good = ask()
    add("publisher-of-261-bytes", "refund-publisher-too-long", "names that no publisher has", ask(publisher="n" * 261))
    add("u-not-canonical", "refund-invalid-encoding", "one request has many encodings", changed(
        good, lambda f: f["proof"].update(u=NON_CANONICAL_SCALAR)))
    add("proof-changed", bad, anybody, changed(good, lambda f: f["proof"].update(u=plus(f["proof"]["u"], 1))))
    add("proof-t-identity", bad, "a proof without nonce", changed(good, lambda f: f["proof"].update(t=IDENTITY)))
    add("payment-exchanged", bad, "somebody has another payment refunded", changed(good, lambda f: f.update(payment=rand("other payment", 32))))
    add("publisher-exchanged", bad, "one publisher refunds what another earned", changed(good, lambda f: f.update(publisher="blog.example")))
    add("by-another-key", bad, anybody, ask(key=scalar("stranger")))
    add("for-another-mint", bad, "a request to one mint is played to another", ask(root=public(scalar("other mint root"))))
    s = proofs.statement(mint.root, 0, 0, refund.request_digest(id_, recipient))
    proof = proofs.prove("answer", s, proofs.Lone(public(secret)), [secret], rand("negative refund fresh", 32))
    add("of-purpose-answer", bad, "a signature made for something else gives money back", dict(good, proof=proof))

    def add_answer(name, harm, frame):
        given = {**context, "payment_id": id_, "frame": wire.REFUND_RESPONSE.encode(frame)}
        cases.append(vector("refund", f"answer-{name}", "refund-answer", "answer-invalid-signature", harm, given))

    def sign(root=mint.root, payment_id=id_, outcome=None, key=mint.receipt_secrets[0]):
        return refund.sign(root, REFUND_MARK, payment_id, outcome or {"Refunded": None}, key, rand("negative refund answer fresh", 32))

    good = sign()
    told = "anybody tells a publisher that it refunded"
    add_answer("by-an-unannounced-key", told, sign(key=scalar("stranger")))
    add_answer("for-another-root", "another mint's answer", sign(root=public(scalar("other mint root"))))
    add_answer("signature-changed", told, changed(good, lambda f: f["proof"].update(u=plus(f["proof"]["u"], 1))))
    add_answer("u-not-canonical", "one answer has many encodings", changed(good, lambda f: f["proof"].update(u=NON_CANONICAL_SCALAR)))
    add_answer("to-another-payment", "an answer about one payment is taken for another's", sign(payment_id=rand("other payment", 32)))
    add_answer("refusal-made-a-refund", "a publisher tells a reader to reclaim what is not there", dict(
        sign(outcome={"Refused": 1}), outcome={"Refunded": None}))
    add_answer("reason-exchanged", "a publisher believes that it was paid out", dict(sign(outcome={"Refused": 1}), outcome={"Refused": 2}))
    add_answer("sequence-changed", "a restored mint passes for a current one", changed(good, lambda f: f["mark"].update(sequence=44)))
    deposited = {"mark": REFUND_MARK, "receipt_key": good["receipt_key"], "outcome": {"Refunded": None}}
    of_deposit = settle.sign(mint.root, REFUND_MARK, [id_], [{"Refunded": None}], mint.receipt_secrets[0], rand("of deposit fresh", 32))
    add_answer("of-a-deposit", "an answer to one question is taken for another's", dict(deposited, proof=of_deposit["proof"]))
    return cases


def restores(mint, made, context):
    seed_bytes, (good, _, _) = positive.buckets(mint, made)
    cases = []

    def add(name, error, harm, frame, **more):
        given = {"keyset": good["keyset"], "bucket": 0, **more, "frame": wire.RESTORE_BUCKET.encode(frame)}
        cases.append(vector("restore", f"bucket-{name}", "bucket", error, harm, given))

    def sessions(change):
        return changed(good, lambda f: change(f["sessions"]))

    some = good["sessions"][0]["outputs"][0]
    add("of-another-keyset", "restore-wrong-bucket", "a wallet believes that it has seen a keyset whole", good, keyset=mint.list.ids[1])
    add("of-another-number", "restore-wrong-bucket", "a wallet reads one bucket twice and misses another", good, bucket=1)
    many = [{"recovery": number.to_bytes(32, "big"), "outputs": [some]} for number in range(65)]
    add("of-65-sessions", "restore-too-many-sessions", "two mints cut their buckets differently", dict(good, sessions=many))
    add("session-without-outputs", "restore-output-count", "a session that cannot have been", sessions(lambda s: s[0].update(outputs=[])))
    add("session-of-257-outputs", "restore-output-count", "a session that cannot have been", sessions(
        lambda s: s[0].update(outputs=[some] * 257)))
    add("denomination-zero", "restore-invalid-denominations", "tokens worth nothing", sessions(
        lambda s: s[0]["outputs"][0].update(denomination=0)))
    two = next(number for number, session in enumerate(good["sessions"]) if len(session["outputs"]) == 2)
    add("denominations-not-sorted", "restore-invalid-denominations", "one session has many encodings", sessions(
        lambda s: s[two]["outputs"].reverse()))
    add("sessions-not-sorted", "restore-not-sorted", "the order tells when a session was", sessions(lambda s: s.reverse()))
    add("session-twice", "restore-not-sorted", "one bucket has many encodings", sessions(lambda s: s.append(s[-1])))

    own = good["sessions"][two]

    def add_restore(name, error, harm, session, **more):
        given = {**context, "seed": seed_bytes, "keyset": good["keyset"], "first_index": 10, **more,
                 "frame": wire.RESTORE_BUCKET.encode(dict(good, sessions=[session]))}
        cases.append(vector("restore", f"session-{name}", "restore-session", error, harm, given))

    def output(change):
        return changed(own, lambda session: change(session["outputs"]))

    worthless = "the wallet counts tokens that nobody accepts"
    add_restore("of-another-seed", "issue-invalid-response", worthless, own, seed=rand("other wallet seed", 32))
    add_restore("at-another-index", "issue-invalid-response", worthless, own, first_index=11)
    add_restore("indices-exhausted", "issue-unusable-blinding", "an index wraps around", own, first_index=2**64 - 1)
    add_restore("denomination-exchanged", "issue-invalid-response", worthless, output(lambda o: o[0].update(denomination=100)))
    add_restore("denomination-not-in-the-keyset", "issue-invalid-denominations", worthless, output(lambda o: o[0].update(denomination=201)))
    add_restore("commitment-identity", "issue-invalid-encoding", "z shows x", output(lambda o: o[0]["commitment"].update(a=IDENTITY)))
    add_restore("commitment-twice", "issue-repeated-commitment", worthless, output(lambda o: o[1].update(commitment=o[0]["commitment"])))
    add_restore("y-zero", "issue-invalid-encoding", "t = 0: a signature that is none", output(lambda o: o[0]["response"].update(y=bytes(32))))
    for part in "byz":
        add_restore(f"{part}-changed", "issue-invalid-response", worthless, output(
            lambda o: o[0]["response"].update({part: plus(o[0]["response"][part], 1)})))
    return cases
