"""Keyset lists, issuing sessions and deposit answers that must be refused."""

import copy

import evidence
import issue
import keysets
import positive
import proofs
import ristretto
import seed
import settle
import wire
import world
from defects import IDENTITY, NON_CANONICAL_POINT, NON_CANONICAL_SCALAR, changed, plus, vector
from positive import SUBJECT
from ristretto import L
from world import DAY, START, public, rand, scalar, spent_of


def raw_list(mint, bodies, secret=None, numbers=None):
    """A list signed entry by entry without checking any rule: what a malicious mint can make."""
    head, out = bytes(32), []
    for number, body in enumerate(bodies):
        transcript_body = {name: value for name, value in body.items() if name != "proof"}
        id_ = raw_id(mint.root, number, transcript_body)
        head = keysets.next_head(head, number, id_)
        s = keysets.announcement(mint.root, number if numbers is None else numbers[number], head)
        proof = proofs.prove("announce", s, proofs.Lone(mint.root), [secret or mint.root_secret], rand(f"raw list {number}", 32))
        out.append(dict(transcript_body, proof=proof))
    return {"root": mint.root, "keysets": out}


def raw_id(root, number, body):
    """keyset_id without the rule about units."""
    unit_name = keysets.unit_name
    keysets.unit_name = lambda currency, decimals: f"{currency}/{10 ** decimals}"
    try:
        return keysets.keyset_id(root, number, body)
    finally:
        keysets.unit_name = unit_name


def lists(mint):
    few = [500, 1000]
    first = mint.proposal(START, START, few, 0)
    second = mint.proposal(START + 20 * DAY, START + 28 * DAY, few, 1)
    cases = []

    def add(name, error, harm, frame, **more):
        given = {"root": mint.root, "frame": wire.KEYSET_LIST.encode(frame), **more}
        cases.append(vector("keysets", name, "keysets", error, harm, given))

    def add_first(name, error, harm, **update):
        add(name, error, harm, raw_list(mint, [{**first, **update}]))

    def add_second(name, error, harm, **update):
        add(name, error, harm, raw_list(mint, [first, {**second, **update}]))

    def at(offset, *bounds):
        return [START + offset + bound * DAY for bound in bounds]

    good = raw_list(mint, [first, second])
    other = world.Mint("other mint")
    add("root-of-another-mint", "keyset-wrong-root", "a reader's money goes to another mint", raw_list(other, [first]))
    add("no-keysets", "keyset-empty-list", "a reader believes that the mint has no keys", {"root": mint.root, "keysets": []})
    add("signature-changed", "keyset-invalid-signature", "anybody announces keys", changed(
        good, lambda f: f["keysets"][1]["proof"].update(u=plus(f["keysets"][1]["proof"]["u"], 1))))
    add("signature-u-not-canonical", "keyset-invalid-signature", "one list has many encodings", changed(
        good, lambda f: f["keysets"][1]["proof"].update(u=NON_CANONICAL_SCALAR)))
    add("signature-t-identity", "keyset-invalid-signature", "a signature without nonce", changed(
        good, lambda f: f["keysets"][1]["proof"].update(t=IDENTITY)))
    add("signed-by-another-key", "keyset-invalid-signature", "anybody announces keys", raw_list(mint, [first], scalar("stranger")))
    add("signed-for-another-number", "keyset-invalid-signature", "keysets are put in another order", raw_list(mint, [first], numbers=[1]))
    add("keyset-left-out", "keyset-invalid-signature", "a keyset is hidden from one reader", {
        "root": mint.root, "keysets": [dict(good["keysets"][1])]})
    add("window-changed", "keyset-invalid-signature", "a keyset is kept open for one reader", changed(
        good, lambda f: f["keysets"][0].update(windows=first["windows"][:4] + [first["windows"][4] + 1])))
    key = first["keys"][0][1]
    add_first("key-not-canonical", "keyset-invalid-key", "one key under two names", keys=[[500, NON_CANONICAL_POINT], first["keys"][1]])
    add_first("key-identity", "keyset-invalid-key", "anybody signs with the identity", keys=[[500, IDENTITY], first["keys"][1]])
    add_first("receipt-key-identity", "keyset-invalid-key", "anybody signs deposit answers", receipt_key=IDENTITY)
    add_first("key-twice-in-a-keyset", "keyset-repeated-key", "a small token is spent as a big one", keys=[[500, key], [1000, key]])
    add_second("key-of-an-earlier-keyset", "keyset-repeated-key", "a token of an old keyset is spent in the new one too",
               keys=[[500, key], second["keys"][1]])
    add_second("receipt-key-of-an-earlier-keyset", "keyset-repeated-key", "answers outlive their keyset", receipt_key=first["receipt_key"])
    add_first("root-key-as-denomination", "keyset-repeated-key", "issuing tokens signs announcements", keys=[[500, mint.root], first["keys"][1]])
    add_first("receipt-key-as-denomination", "keyset-repeated-key", "issuing tokens signs deposit answers",
              keys=[[500, first["receipt_key"]], first["keys"][1]])
    add_first("no-denominations", "keyset-invalid-denominations", "a keyset without keys", keys=[])
    add_first("denomination-zero", "keyset-invalid-denominations", "worthless tokens", keys=[[0, key], first["keys"][1]])
    add_first("denominations-not-sorted", "keyset-invalid-denominations", "one keyset under two ids", keys=first["keys"][::-1])
    add_first("denomination-twice", "keyset-invalid-denominations", "two keys for one value trace a reader",
              keys=[first["keys"][0], [500, first["keys"][1][1]]])
    add_first("thirty-three-denominations", "keyset-invalid-denominations", "small anonymity sets; big tables",
              keys=[[d, public(scalar(f"many {d}"))] for d in range(1, 34)])
    add_first("currency-upper-case", "keyset-invalid-unit", "one unit under two names", currency="EUR")
    add_first("currency-of-four-letters", "keyset-invalid-unit", "one unit under two names", currency="euro")
    add_first("ten-decimals", "keyset-invalid-unit", "amounts people cannot read", decimals=10)
    add_first("windows-not-ascending", "keyset-invalid-windows", "tokens that cannot be spent",
              windows=at(0, 0, 30, 20, 90, 120))
    add_first("issues-six-days", "keyset-invalid-windows", "a keyset per reader, soon gone", windows=at(0, 0, 6, 60, 90, 120))
    add_second("published-hours-ahead", "keyset-published-late", "a keyset appears for one reader at the moment it buys",
               published=START + 28 * DAY - 3600)
    add_second("published-before-its-predecessor", "keyset-published-late", "history is rewritten", published=START - 1)
    third = mint.proposal(START + 20 * DAY, START + 29 * DAY, few, 2)
    add("three-issue-at-once", "keyset-too-many-issuing", "every reader buys from keys of its own", raw_list(mint, [first, second, third]))
    known = raw_list(mint, [first, second])
    add("list-shortened", "keyset-shortened", "the mint takes an announcement back", raw_list(mint, [first]),
        known=wire.KEYSET_LIST.encode(known))
    fork = raw_list(mint, [first, {**second, "published": second["published"] + 1}])
    add("list-forked", "keyset-forked", "one list for one reader, another for all", fork, known=wire.KEYSET_LIST.encode(known))
    return cases


def issues(mint, made, context):
    cases = []
    sessions = {name: session for name, (session, _) in made.items()}
    bought, refresh, change = sessions["voucher"], sessions["refresh"], sessions["change"]
    secret, voucher_key = seed.voucher_key(rand("voucher", 16))

    def add_open(name, error, harm, frame):
        cases.append(vector("issue", f"open-{name}", "open", error, harm, {**context, "frame": wire.OPEN_REQUEST.encode(frame)}))

    def opening(session, **update):
        return changed(session["request"], lambda f: f.update(update))

    recover = sessions["recovery"]

    def claiming(change):
        return changed(recover["request"], lambda f: change(f["funding"]["Recovery"]))

    def add_recovery(name, harm, frame, update=lambda session: None):
        session = changed(positive.recorded(bought), update)
        bucket = {"keyset": bought["keyset"], "bucket": 0, "sessions": [session]}
        given = {**context, "frame": wire.OPEN_REQUEST.encode(frame), "recorded": wire.RESTORE_BUCKET.encode(bucket)}
        cases.append(vector("issue", f"recovery-{name}", "recovery", "issue-invalid-recovery", harm, given))

    twice = "one answered output pays back many tokens"
    add_recovery("of-another-key", twice, claiming(lambda c: c["claims"][0].update(key=public(scalar("other token")))))
    add_recovery("with-another-secret", twice, claiming(lambda c: c["claims"][0].update(secret=rand("other secret", 32))))
    add_recovery("with-another-secret-and-its-leaf", twice, claiming(lambda c: (
        c["claims"][0].update(secret=rand("other secret", 32)),
        c["leaves"].__setitem__(1, seed.recovery_leaf(rand("other secret", 32))))))
    add_recovery("of-another-output", twice, claiming(lambda c: c["claims"][0].update(position=0)))
    add_recovery("of-another-denomination", "a small token is paid back as a big one", claiming(
        lambda c: c["claims"][0].update(denomination=1000)))
    add_recovery("with-a-leaf-too-many", twice, claiming(lambda c: c["leaves"].append(bytes(32))))
    add_recovery("of-another-session", twice, claiming(lambda c: c.update(session=rand("stranger", 32))))
    add_recovery("of-a-session-with-another-commitment", twice, recover["request"], lambda session: session["outputs"][1].update(
        commitment=session["outputs"][0]["commitment"]))
    add_recovery("of-a-session-with-another-answer", twice, recover["request"], lambda session: session["outputs"][1]["response"].update(
        z=plus(session["outputs"][1]["response"]["z"], 1)))

    def proved(denominations, funding=None, list_=None, secrets=None, root=mint.root, digest=None):
        """A voucher's open request with a proof that fits whatever is asked for."""
        keyset, recovery = bought["keyset"], bought["recovery"]
        commitment = bought["recovery_commitment"]
        digest = digest or issue.open_digest(keyset, denominations, "Voucher", recovery, commitment)
        s = proofs.statement(root, sum(denominations) % 2**64, 0, digest)
        proof = proofs.prove("voucher", s, list_ or proofs.Lone(voucher_key), secrets or [secret], rand("proved", 32))
        return {"keyset": keyset, "denominations": denominations, "funding": funding or {"Voucher": voucher_key}, "recovery": recovery,
                "recovery_commitment": commitment, "proof": proof}

    add_open("no-outputs", "issue-output-count", "sessions that cost the mint work and nobody anything", proved([]))
    add_open("outputs-257", "issue-output-count", "a session that holds the mint's memory", proved([1] * 257))
    add_open("denominations-not-sorted", "issue-invalid-denominations", "one plan has many digests; an order that traces", proved([500, 200]))
    add_open("denomination-zero", "issue-invalid-denominations", "signatures for nothing", proved([0, 500]))
    add_open("sum-overflows", "issue-amount-mismatch", "a sum that wraps buys a fortune for nothing", proved([2**63, 2**63]))
    add_open("refresh-into-more", "issue-amount-mismatch", "a refresh makes money", opening(refresh, denominations=[500, 500, 1000]))
    add_open("refresh-into-less", "issue-amount-mismatch", "a refresh loses a reader's money", opening(refresh, denominations=[500, 500]))
    add_open("voucher-key-identity", "issue-invalid-encoding", "anybody spends the voucher", opening(bought, funding={"Voucher": IDENTITY}))
    add_open("voucher-key-not-canonical", "issue-invalid-encoding", "one voucher under two names", opening(
        bought, funding={"Voucher": NON_CANONICAL_POINT}))
    add_open("proof-u-not-canonical", "issue-invalid-encoding", "one request has many encodings", changed(
        bought["request"], lambda f: f["proof"].update(u=NON_CANONICAL_SCALAR)))
    add_open("refresh-without-tokens", "issue-invalid-funding", "tokens for nothing", opening(
        refresh, funding={"Refresh": {"keysets": [], "tokens": []}}))
    add_open("refresh-tokens-not-sorted", "issue-invalid-funding", "one refresh has many encodings", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"]["tokens"].reverse()))
    add_open("refresh-token-twice", "issue-invalid-funding", "one token buys two", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"]["tokens"].__setitem__(
            1, copy.deepcopy(f["funding"]["Refresh"]["tokens"][0]))))
    add_open("refresh-signature-t-zero", "issue-invalid-funding", "a forged token is exchanged for a true one", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"]["tokens"][0]["signature"].update(t=bytes(32))))
    add_open("change-of-no-tokens", "issue-invalid-funding", "change of a payment nobody made", changed(
        change["request"], lambda f: f["funding"]["Change"].update(list=[])))
    add_open("change-list-with-a-token-twice", "issue-invalid-funding", "one payment has many ids: its change is taken twice", changed(
        change["request"], lambda f: f["funding"]["Change"]["list"].extend(f["funding"]["Change"]["list"])))
    reclaim = sessions["reclaim"]
    add_open("reclaim-of-no-tokens", "issue-invalid-funding", "the amount of a payment nobody made", changed(
        reclaim["request"], lambda f: f["funding"]["Reclaim"].update(list=[])))
    add_open("reclaim-list-with-a-token-twice", "issue-invalid-funding", "one payment has many ids: its amount is taken twice", changed(
        reclaim["request"], lambda f: f["funding"]["Reclaim"]["list"].extend(f["funding"]["Reclaim"]["list"])))
    add_open("reclaim-read-as-change", "invalid-proof", "a proof that takes the amount takes the change", opening(
        reclaim, funding={"Change": reclaim["request"]["funding"]["Reclaim"]}))
    add_open("change-read-as-reclaim", "invalid-proof", "a proof that takes the change takes the amount", opening(
        change, funding={"Reclaim": change["request"]["funding"]["Change"]}))
    add_open("reclaim-of-another-payment", "invalid-proof", "one payment's reader takes another's refund", changed(
        reclaim["request"], lambda f: f["funding"]["Reclaim"]["list"][0].update(key=public(scalar("other token")))))
    add_open("recovery-of-no-tokens", "issue-invalid-funding", "money for nothing", claiming(lambda c: c.update(claims=[])))
    add_open("recovery-of-a-token-twice", "issue-invalid-funding", "one token is paid back twice", claiming(
        lambda c: c["claims"].append(c["claims"][0])))
    add_open("recovery-without-leaves", "issue-invalid-funding", "a session that cannot have been", claiming(lambda c: c.update(leaves=[])))
    add_open("recovery-of-an-output-beyond-the-last", "issue-invalid-funding", "a session that cannot have been", claiming(
        lambda c: c["claims"][0].update(position=2)))
    add_open("recovery-worth-less-than-the-outputs", "issue-amount-mismatch", "tokens for nothing", claiming(
        lambda c: c["claims"][0].update(denomination=200)))
    add_open("recovery-of-somebody-elses-token", "invalid-proof", "whoever sees a session's secrets takes its money", claiming(
        lambda c: c["claims"][0].update(key=public(scalar("other token")))))
    add_open("recovery-commitment-exchanged", "invalid-proof", "somebody else's secrets pay back a reader's tokens", opening(
        bought, recovery_commitment=rand("stranger", 32)))
    add_open("refresh-signature-changed", "invalid-signature", "a forged token is exchanged for a true one", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"]["tokens"][0]["signature"].update(
            s=plus(f["funding"]["Refresh"]["tokens"][0]["signature"]["s"], 1))))
    add_open("refresh-keyset-not-announced", "unknown-keyset", "another mint's money is taken for this one's", changed(
        refresh["request"], lambda f: f["funding"]["Refresh"].update(keysets=[rand("foreign keyset", 32)])))
    add_open("proof-changed", "invalid-proof", "whoever saw a voucher's key spends it", changed(
        bought["request"], lambda f: f["proof"].update(u=plus(f["proof"]["u"], 1))))
    add_open("proof-t-identity", "invalid-point", "a proof without nonce", changed(bought["request"], lambda f: f["proof"].update(t=IDENTITY)))
    add_open("proof-of-another-plan", "invalid-proof", "somebody changes what a reader buys", opening(bought, denominations=[100, 600]))
    add_open("proof-of-another-keyset", "invalid-proof", "somebody moves a reader to a keyset of its own", opening(
        bought, keyset=mint.list.ids[1]))
    add_open("recovery-exchanged", "invalid-proof", "somebody else recovers the session", opening(bought, recovery=rand("stranger", 32)))
    add_open("proof-for-another-mint", "invalid-proof", "a request to one mint is played to another", proved(
        [200, 500], root=public(scalar("other mint root"))))
    add_open("voucher-exchanged", "invalid-proof", "one voucher's proof spends another", opening(
        bought, funding={"Voucher": public(scalar("other voucher"))}))

    def add_issue(name, error, harm, frame):
        given = {**context, "open": wire.OPEN_REQUEST.encode(bought["request"]), "frame": wire.ISSUE_REQUEST.encode(frame)}
        cases.append(vector("issue", f"issue-{name}", "issue", error, harm, given))

    def asking(**update):
        return changed(bought["asked"], lambda f: f.update(update))

    challenges = bought["asked"]["challenges"]
    add_issue("no-challenges", "issue-output-count", "a session is used up for nothing", asking(challenges=[]))
    add_issue("challenges-257", "issue-output-count", "more answers than a session holds", asking(challenges=[challenges[0]] * 257))
    add_issue("one-challenge-missing", "issue-count-mismatch", "the reader pays for a token it does not get", asking(challenges=challenges[:1]))
    add_issue("one-challenge-too-many", "issue-count-mismatch", "a token too many", asking(challenges=challenges + challenges[:1]))
    add_issue("challenge-not-canonical", "issue-invalid-encoding", "one request has many digests: one commitment answers twice", asking(
        challenges=[NON_CANONICAL_SCALAR, challenges[1]]))
    add_issue("proof-u-not-canonical", "issue-invalid-encoding", "one request has many encodings", changed(
        bought["asked"], lambda f: f["proof"].update(u=NON_CANONICAL_SCALAR)))
    add_issue("challenges-exchanged", "issue-invalid-proof", "somebody else's tokens are signed with a reader's money", asking(
        challenges=challenges[::-1]))
    add_issue("session-exchanged", "issue-invalid-proof", "a request is played to another session", asking(session=rand("stranger", 16)))
    add_issue("proof-changed", "issue-invalid-proof", "whoever sees the session takes its tokens", changed(
        bought["asked"], lambda f: f["proof"].update(u=plus(f["proof"]["u"], 1))))
    add_issue("proof-of-the-opening", "issue-invalid-proof", "the opening's proof takes the tokens", asking(proof=bought["request"]["proof"]))

    blind_context = {**context, "seed": bought["seed"], "keyset": bought["keyset"], "denominations": bought["denominations"],
                     "first_index": bought["first_index"]}

    def add_blind(name, error, harm, opened, **more):
        given = {**blind_context, **more, "opened": wire.OPEN_RESPONSE.encode(opened)}
        cases.append(vector("issue", f"blind-{name}", "blind", error, harm, given))

    def opened(change):
        return changed(bought["opened"], lambda f: change(f["commitments"]))

    add_blind("one-commitment-missing", "issue-count-mismatch", "the reader pays for a token it does not get", opened(lambda c: c.pop()))
    add_blind("commitment-a-identity", "issue-invalid-encoding", "z shows x", opened(lambda c: c[0].update(a=IDENTITY)))
    add_blind("commitment-b-not-canonical", "issue-invalid-encoding", "a commitment under two names", opened(
        lambda c: c[1].update(b=NON_CANONICAL_POINT)))
    add_blind("commitment-twice", "issue-repeated-commitment", "blinding repeats and links two tokens", opened(
        lambda c: c.__setitem__(1, dict(c[0]))))
    add_blind("denomination-not-in-the-keyset", "issue-invalid-denominations", "tokens nobody accepts", bought["opened"],
              denominations=[200, 501])
    add_blind("indices-exhausted", "issue-unusable-blinding", "an index wraps around and blinding repeats", bought["opened"],
              first_index=2**64 - 1)

    def add_unblind(name, harm, change, error="issue-invalid-response"):
        frame = changed(bought["answer"], lambda f: change(f["responses"]))
        given = {**blind_context, "opened": wire.OPEN_RESPONSE.encode(bought["opened"]), "frame": wire.ISSUE_RESPONSE.encode(frame)}
        cases.append(vector("issue", f"unblind-{name}", "unblind", error, harm, given))

    worthless = "the reader pays for a token nobody accepts"
    add_unblind("one-response-missing", worthless, lambda r: r.pop(), "issue-count-mismatch")
    add_unblind("y-zero", "t = 0: a signature that is none", lambda r: r[0].update(y=bytes(32)), "issue-invalid-encoding")
    add_unblind("z-not-canonical", "one answer has many encodings", lambda r: r[0].update(z=NON_CANONICAL_SCALAR), "issue-invalid-encoding")
    for part in "byz":
        add_unblind(f"{part}-changed", worthless, lambda r: r[0].update({part: plus(r[0][part], 1)}))
    add_unblind("responses-exchanged", worthless, lambda r: r.reverse())
    add_unblind("answered-with-another-key", "the mint marks a reader's tokens with a key of its own", lambda r: r[0].update(
        z=answer_with(bought, scalar("marking key"))))
    return cases


def answer_with(session, x):
    """z of the first output as a key would make it that was never announced."""
    a, _, y = (ristretto.wide_scalar(part) for part in session["nonces"][0])
    c = session["pending"][0]["c"]
    return ristretto.encode_scalar(a + (c + pow(y, 5, L)) * x)


def answers(mint, double, context):
    _, ids, changes = positive.deposits(mint)
    mark = {"ledger": rand("ledger", 16), "sequence": 42}
    outcomes = [{"Credited": {"change": changes[0]}}, {"Credited": {"change": changes[1]}}]
    cases = []

    def sign(outcomes=outcomes, ids=ids, secret=mint.receipt_secrets[0], root=mint.root):
        return settle.sign(root, mark, ids, outcomes, secret, rand("negative answer fresh", 32))

    def add(name, error, harm, frame):
        given = {**context, "frame": wire.DEPOSIT_RESPONSE.encode(frame),
                 "payments": [{"id": id_, "change": change} for id_, change in zip(ids, changes)]}
        cases.append(vector("answer", name, "answer", error, harm, given))

    bad = "answer-invalid-signature"
    good = sign()
    unrelated = other_double(mint)
    add("outcome-missing", "answer-count-mismatch", "a payment stays without an answer", sign(outcomes[:1], ids[:1]))
    add("outcome-too-many", "answer-count-mismatch", "answers are read for the wrong payments", sign(outcomes + outcomes[:1], ids + ids[:1]))
    add("receipt-key-not-announced", bad, "anybody tells a publisher that it was paid", sign(secret=scalar("stranger")))
    add("signed-for-another-root", bad, "another mint's answer", sign(root=public(scalar("other mint root"))))
    add("signature-changed", bad, "anybody tells a publisher that it was paid", changed(
        good, lambda f: f["proof"].update(u=plus(f["proof"]["u"], 1))))
    add("signature-u-not-canonical", bad, "one answer has many encodings", changed(good, lambda f: f["proof"].update(u=NON_CANONICAL_SCALAR)))
    add("sequence-changed", bad, "a restored mint passes for a current one", changed(good, lambda f: f["mark"].update(sequence=43)))
    add("ledger-exchanged", bad, "a restored mint passes for another", changed(good, lambda f: f["mark"].update(ledger=rand("other ledger", 16))))
    add("refusal-made-a-credit", bad, "a publisher serves what the mint refused", changed(
        sign([{"Refused": 4}, outcomes[1]]), lambda f: f["outcomes"].__setitem__(0, {"Credited": {"change": 0}})))
    add("payments-exchanged", bad, "an answer to one payment is taken for another's", sign(outcomes, ids[::-1]))
    add("credited-with-wrong-change", "answer-wrong-change", "the mint keeps part of the change", sign([{"Credited": {"change": 1}}, outcomes[1]]))
    add("already-credited-with-wrong-change", "answer-wrong-change", "the mint keeps part of the change", sign(
        [outcomes[0], {"AlreadyCredited": {"change": changes[1] + 1}}]))
    add("double-spend-of-other-payments", "answer-unrelated-proof", "one true proof excuses the mint from every payment", sign(
        [outcomes[0], {"DoubleSpent": unrelated}]))
    nonsense = dict(double, sides=double["sides"][::-1])
    add("double-spend-not-canonical", bad, "signed nonsense counts as a proof", sign([outcomes[0], {"DoubleSpent": nonsense}]))
    return cases


def other_double(mint):
    """A true double-spend proof that is about neither deposited payment."""
    shared, sides = [mint.token(0, 20, "caught")], []
    for recipient in ("news.example", "blog.example"):
        frame, s, _ = world.payment_of(mint, shared, recipient, 20, SUBJECT, f"caught {recipient}")
        sides.append(evidence.side_of(s, spent_of(shared), frame["proof"]))
    made = evidence.make(shared[0][0], shared[0][1], sides)
    evidence.verify(made, mint.list)
    return made
