"""The positive vectors: whole traces, with every intermediate value worth comparing."""

import json

import evidence
import http_scheme
import issue
import labels
import proofs
import receipt
import recovery
import refund
import restore
import ristretto
import seed
import settle
import spent
import snowblind
import wire
import world
from errors import REFUND_REFUSAL, REFUSAL
from merlin import Transcript
from world import DAY, START, payment_of, prove_tokens, public, rand, scalar, spent_of, wide

WEEK_LATER = START + 7 * DAY
SUBJECT = rand("subject", 32)


def token_json(token):
    (keyset, denomination, key), signature, secret = token
    return {"keyset": keyset, "denomination": denomination, "key": key, "signature": wire.SIGNATURE.encode(signature),
            "secret": ristretto.encode_scalar(secret)}


def spent_json(spent):
    return [{"keyset": keyset, "denomination": denomination, "key": key} for keyset, denomination, key in spent]


def file(page, about, cases):
    return {"format": "farthing vectors 1", "page": page, "about": about,
            "randomness": "every random value is a prefix of SHAKE256('farthing/1 vectors ' || label), see spec/reference/world.py",
            "cases": cases}


def case(name, operation, input_, output):
    return {"name": name, "operation": operation, "input": input_, "output": output}


def generators():
    uniform = labels.Transcript(labels.GENERATOR_H).squeeze("output", 64)
    multiples = [(n * ristretto.G).encode() for n in range(1, 6)]
    return file("primitives.md", "The two generators, and small multiples of the first.", [
        case("generators", "generators", {}, {"g": ristretto.G.encode(), "h_uniform": uniform, "h": labels.H.encode(),
                                              "order": ristretto.L.to_bytes(32, "little")}),
        case("multiples-of-g", "multiples", {}, {"multiples": multiples}),
    ])


def transcripts(traces):
    simple = Transcript(b"test protocol")
    simple.append(b"some label", b"some data")
    trace = [{"append": "some label", "value": b"some data"}, {"squeeze": "challenge", "value": simple.challenge(b"challenge", 32)}]
    cases = [case("merlin-simple", "transcript", {"domain": "test protocol"}, {"trace": trace})]
    for domain in labels.ALL:
        name = domain.removeprefix("farthing/1 ").replace(" ", "-").lower()
        cases.append(case(name, "transcript", {"domain": domain}, {"trace": traces[domain]}))
    return file("primitives.md", "Merlin's own test, then one transcript of every domain as it occurs in these vectors.", cases)


def snowblind_cases(mint):
    cases = []
    for label, number, denomination in [("first", 0, 500), ("second", 1, 100_000)]:
        keyset, x = mint.list.ids[number], mint.secrets[mint.list.ids[number], denomination]
        nonces = [wide(f"snowblind {label} {name}") for name in "aby"]
        blinding = [wide(f"snowblind {label} {name}") for name in ("r", "alpha", "beta")]
        a, b, y = map(ristretto.wide_scalar, nonces)
        r, alpha, beta = map(ristretto.wide_scalar, blinding)
        message = public(scalar(f"snowblind {label} k"))
        commitment = snowblind.commit(a, b, y)
        r_point, c = snowblind.blind(keyset, denomination, public(x), commitment, message, r, alpha, beta)
        response = snowblind.respond(x, a, b, y, c)
        signature = snowblind.unblind(public(x), commitment, r, alpha, r_point, c, response)
        snowblind.verify(keyset, denomination, public(x), message, signature)
        cases.append(case(f"{label}-signature", "snowblind", {
            "keyset": keyset, "denomination": denomination, "x": ristretto.encode_scalar(x), "message": message,
            "nonce_bytes": b"".join(nonces), "blinding_bytes": b"".join(blinding)}, {
            "key": public(x), "a_point": commitment["a"], "b_point": commitment["b"], "row": snowblind.commitment_row(commitment),
            "r_point": r_point, "c_prime": ristretto.encode_scalar(
                snowblind.challenge_hash(keyset, denomination, public(x), message, r_point)),
            "r": ristretto.encode_scalar(r), "alpha": ristretto.encode_scalar(alpha), "beta": ristretto.encode_scalar(beta),
            "challenge": ristretto.encode_scalar(c), "b": ristretto.encode_scalar(response[0]),
            "y": ristretto.encode_scalar(response[1]), "z": ristretto.encode_scalar(response[2]),
            "s": signature["s"], "t": signature["t"]}))
    return file("issue.md", "One blind signature each; `nonce_bytes` are a, b, y and `blinding_bytes` r, alpha, beta, 64 bytes each "
                "before reduction.", cases)


def wallet(mint):
    seed_bytes = rand("wallet seed", 32)
    cases = []
    for number, denomination, index in [(0, 500, 0), (0, 500, 1), (1, 1, 2**40)]:
        keyset = mint.list.ids[number]
        key = mint.list.key(keyset, denomination)
        commitment = snowblind.commit(*(scalar(f"wallet {index} {name}") for name in "aby"))
        k, r, alpha, beta = seed.token_secrets(seed_bytes, mint.root, keyset, denomination, index, commitment, key)
        r_point, c = snowblind.blind(keyset, denomination, key, commitment, public(k), r, alpha, beta)
        cases.append(case(f"token-{index}", "wallet-token", {
            "seed": seed_bytes, "root": mint.root, "keyset": keyset, "denomination": denomination, "index": index, "key": key,
            "a_point": commitment["a"], "b_point": commitment["b"]}, {
            "secret": seed.recovery_secret(seed_bytes, mint.root, keyset, denomination, index),
            "leaf": seed.recovery_leaf(seed.recovery_secret(seed_bytes, mint.root, keyset, denomination, index)),
            "k": ristretto.encode_scalar(k), "r": ristretto.encode_scalar(r), "alpha": ristretto.encode_scalar(alpha),
            "beta": ristretto.encode_scalar(beta), "p_point": public(k), "challenge": ristretto.encode_scalar(c)}))
    for index in (0, 1, 2**64 - 1):
        cases.append(case(f"recovery-{index}", "wallet-recovery", {"seed": seed_bytes, "root": mint.root, "index": index},
                          {"recovery": seed.recovery_hash(seed_bytes, mint.root, index)}))
    return file("issue.md", "What a wallet derives from its seed.", cases)


def voucher():
    cases = []
    for name, code in [("random", rand("voucher", 16)), ("zeros", bytes(16)), ("ones", b"\xff" * 16)]:
        text = seed.voucher_text(code)
        typed = text.upper().replace("-", " ").replace("0", "O").replace("1", "l")
        assert seed.voucher_parse(text) == seed.voucher_parse(typed) == code
        secret, key = seed.voucher_key(code)
        cases.append(case(name, "voucher", {"code": code}, {"text": text, "also_read": [typed, text.replace("-", "")],
                                                            "secret": ristretto.encode_scalar(secret), "key": key}))
    return file("issue.md", "Voucher codes: text, ways of typing it, and the key.", cases)


def announced(name, mint):
    """The announcements that made a mint's list."""
    proposals = [{field: value for field, value in body.items() if field != "proof"} for body in mint.list.bodies]
    fresh = [rand(f"{mint.name} announce {number}", 32) for number in range(len(proposals))]
    return case(name, "announce", {"root_secret": ristretto.encode_scalar(mint.root_secret), "proposals": proposals, "fresh": fresh}, {
        "root": mint.root, "ids": mint.list.ids, "heads": mint.list.heads, "frame": wire.KEYSET_LIST.encode(mint.list.frame())})


def mint_at_the_limits():
    """32 denominations, seven days of issuing, windows that end together, published exactly a day ahead, two issuing at once."""
    mint = world.Mint("limits")
    week = [START, START + 7 * DAY, START + 7 * DAY, START + 7 * DAY, START + 7 * DAY]
    bodies = [dict(mint.proposal(START + DAY, START, list(range(1, 33)), 0), windows=week),
              dict(mint.proposal(START + DAY, START + 2 * DAY, [2**64 - 1], 1), currency="usd", decimals=0),
              dict(mint.proposal(START + DAY, START + 2 * DAY, [1], 2), decimals=9),
              mint.proposal(START + DAY, START + 2 * DAY, [1], 3),
              mint.proposal(START + DAY, START + 32 * DAY, [1], 4)]
    for number, body in enumerate(bodies):
        mint.list.announce(body, mint.root_secret, rand(f"limits announce {number}", 32))
    return mint


def keyset_cases(mint):
    first = dict(mint.list.frame(), keysets=mint.list.bodies[:1])
    return file("keysets.md", "A list of two keysets, announced one after the other; one that goes to every limit; following a list.", [
        announced("list", mint), announced("limits", mint_at_the_limits()),
        case("follow", "follow", {"root": mint.root, "known": wire.KEYSET_LIST.encode(first),
                                  "frame": wire.KEYSET_LIST.encode(mint.list.frame())}, {"head": mint.list.head()}),
    ])


def session_case(name, session, mint, funding):
    """`funding` says how Rust rebuilds the keys that pay."""
    open_ = session["open"]
    return case(name, "session", {
        "root": mint.root, "list": wire.KEYSET_LIST.encode(mint.list.frame()), "keyset": session["keyset"],
        "denominations": session["denominations"], "funding": funding, "seed": session["seed"],
        "first_index": session["first_index"], "recovery_index": session["recovery_index"], "open_fresh": session["fresh"][0],
        "issue_fresh": session["fresh"][1], "session": session["opened"]["session"], "expires": session["opened"]["expires"],
        "nonce_bytes": b"".join(part for three in session["nonces"] for part in three),
        "keys": [ristretto.encode_scalar(mint.secrets[session["keyset"], d]) for d in session["denominations"]]}, {
        "recovery": session["recovery"], "recovery_commitment": session["recovery_commitment"], "amount": open_.amount, "open_digest": open_.digest,
        "open_request": wire.OPEN_REQUEST.encode(session["request"]), "open_response": wire.OPEN_RESPONSE.encode(session["opened"]),
        "lookup_digest": issue.issue_digest(session["opened"]["session"], bytes(32), session["asked"]["challenges"]),
        "issue_request": wire.ISSUE_REQUEST.encode(session["asked"]), "issue_response": wire.ISSUE_RESPONSE.encode(session["answer"]),
        "tokens": [token_json(token) for token in session["tokens"]]})


def sessions(mint):
    """The five ways to fund a session; shared with the negative vectors."""
    code = rand("voucher", 16)
    secret, key = seed.voucher_key(code)
    seed_bytes = rand("wallet seed", 32)
    by_voucher = mint.session("voucher session", seed_bytes, 0, [200, 500], {"Voucher": key}, [secret], 10, 10)

    old = sorted([mint.token(0, 500, "old 500"), mint.token(0, 1000, "old 1000")], key=lambda t: t[0])
    body = world.payment.tokens_to_body([(t[0], t[1]) for t in old])
    refresh = mint.session("refresh session", seed_bytes, 1, [500, 500, 500], {"Refresh": body}, [t[2] for t in old], 12, 12)

    paid = [mint.token(0, 1000, "paid 1000")]
    _, s, _ = payment_of(mint, paid, "news.example", 700, SUBJECT, "paid for change")
    listed = {"statement": s, "list": issue.list_to_body(spent_of(paid))}
    change = mint.session("change session", seed_bytes, 1, [100, 200], {"Change": listed}, [paid[0][2]], 15, 15)
    reclaim = mint.session("reclaim session", seed_bytes, 1, [200, 500], {"Reclaim": listed}, [paid[0][2]], 17, 17)
    claimed = by_voucher["tokens"][1]
    claim = recovery.claim(seed_bytes, mint.root, by_voucher["keyset"], [200, 500], 10, [(1, claimed[0][2])])
    recover = mint.session("recovery session", seed_bytes, 1, [100, 200, 200], {"Recovery": claim}, [claimed[2]], 19, 19)
    recovery.verify(claim, recorded(by_voucher), mint.list)
    return {"voucher": (by_voucher, {"voucher": code}), "refresh": (refresh, {"refresh": [token_json(t) for t in old]}),
            "change": (change, {"change": [token_json(t) for t in paid], "statement": s}),
            "reclaim": (reclaim, {"reclaim": [token_json(t) for t in paid], "statement": s}),
            "recovery": (recover, {"recovery": [token_json(claimed)], "positions": [1], "denominations": [200, 500], "first_index": 10})}


def issue_cases(mint, made):
    return file("issue.md", "Whole sessions: bought with a voucher, refreshed from tokens, change of a settled payment, the amount of a refunded one, a token of a "
                "frozen denomination that the first session made. `nonce_bytes` "
                "are a, b, y of every output, 64 bytes each before reduction; `open_fresh` and `issue_fresh` hedge the two proofs.",
                [session_case(name, session, mint, funding) for name, (session, funding) in made.items()])


def payments(mint):
    """Payments that other files use too."""
    one = [mint.token(0, 500, "one")]
    many = [mint.token(1, 1, "many a"), mint.token(0, 500, "many b"), mint.token(1, 200, "many c"), mint.token(0, 20, "many d")]
    return {"one-token": (one, "news.example", 500), "mixed-keysets": (many, "blog.example:8443", 700)}


def largest_payment(mint):
    """As many tokens as a payment may hold, to a recipient as long as it may be, without change."""
    tokens = [mint.token(n % 2, world.DENOMINATIONS[n % 16], f"largest {n}") for n in range(24)]
    return tokens, "n" * 252 + ".example", sum(token[0][1] for token in tokens)


def payment_cases(mint):
    cases = []
    for name, (tokens, recipient, amount) in (payments(mint) | {"twenty-four-tokens": largest_payment(mint)}).items():
        frame, s, id_ = payment_of(mint, tokens, recipient, amount, SUBJECT, name)
        list_ = proofs.Tokens(spent_of(tokens))
        e = proofs.coefficients(proofs.transcript_of("pay", s, list_), frame["proof"]["t"], len(tokens))
        value = sum(token[0][1] for token in tokens)
        cases.append(case(name, "pay", {
            "list": wire.KEYSET_LIST.encode(mint.list.frame()), "root": mint.root, "tokens": [token_json(t) for t in tokens],
            "recipient": recipient, "amount": amount, "deposit_by": START + 61 * DAY, "subject": SUBJECT,
            "fresh": rand(f"{name} fresh", 32)}, {
            "statement": s, "spent_keys": [proofs.spent_key_bytes(spent) for spent in spent_of(tokens)],
            "coefficients": [part.to_bytes(16, "little") for part in e], "t_point": frame["proof"]["t"], "u": frame["proof"]["u"],
            "payment_id": id_, "change": value - amount, "frame": wire.PAYMENT.encode(frame)}))
    tokens, recipient, amount = payments(mint)["one-token"]
    _, s, id_ = payment_of(mint, tokens, recipient, amount, SUBJECT, "one-token")
    subject = rand("reread subject", 32)
    again = proofs.statement(recipient.encode(), 0, 0, subject)
    proof = prove_tokens("reread", again, tokens, "reread")
    proofs.verify("reread", again, proofs.Tokens(spent_of(tokens)), proof)
    cases.append(case("reread", "reread", {
        "tokens": [token_json(t) for t in tokens], "payment": id_, "recipient": recipient, "subject": subject,
        "fresh": rand("reread fresh", 32)}, {"statement": again, "frame": wire.REREAD.encode({"payment": id_, "proof": proof})}))
    return file("payment.md", "Payments with one token, with four of two keysets and with as many as there may be, and reading again.", cases)


def deposits(mint):
    requests, ids, changes = [], [], []
    for name, (tokens, recipient, amount) in payments(mint).items():
        frame, _, id_ = payment_of(mint, tokens, recipient, amount, SUBJECT, name)
        requests.append({"recipient": recipient, "subject": SUBJECT, "payment": frame})
        ids.append(id_)
        changes.append(sum(token[0][1] for token in tokens) - amount)
    return requests, ids, changes


def deposit_cases(mint, double):
    requests, ids, changes = deposits(mint)
    mark = {"ledger": rand("ledger", 16), "sequence": 41}
    cases = [case("request", "deposit-request", {}, {
        "frame": wire.DEPOSIT_REQUEST.encode({"seen": None, "payments": requests[:1]}), "payment_ids": ids[:1]}),
        case("request-with-mark", "deposit-request", {}, {
            "frame": wire.DEPOSIT_REQUEST.encode({"seen": mark, "payments": requests}), "payment_ids": ids})]
    answers = {
        "credited": ([{"Credited": {"change": changes[0]}}], ids[:1], changes[:1]),
        "every-outcome": ([{"Credited": {"change": changes[0]}}, {"AlreadyCredited": {"change": changes[1]}}, {"Refunded": None},
                           {"DoubleSpent": double}, {"Refused": 4}, {"Refused": 4242}],
                          ids + [rand("id 2", 32), evidence.side_id(double["sides"][0]), rand("id 4", 32), rand("id 5", 32)], changes + [0, 0, 0, 0]),
    }
    for name, (outcomes, ids_, changes_) in answers.items():
        next_mark = dict(mark, sequence=42)
        frame = settle.sign(mint.root, next_mark, ids_, outcomes, mint.receipt_secrets[0], rand(f"answer {name} fresh", 32))
        expected = list(zip(ids_, changes_))
        settle.verify(frame, expected, mint.list)
        cases.append(case(name, "answer", {
            "list": wire.KEYSET_LIST.encode(mint.list.frame()), "root": mint.root,
            "receipt_secret": ristretto.encode_scalar(mint.receipt_secrets[0]), "ledger": next_mark["ledger"], "sequence": 42,
            "payments": [{"id": id_, "change": change} for id_, change in expected],
            "outcomes": [wire.OUTCOME.encode(outcome) for outcome in outcomes], "fresh": rand(f"answer {name} fresh", 32)}, {
            "digest": settle.digest(next_mark, ids_, outcomes), "frame": wire.DEPOSIT_RESPONSE.encode(frame)}))
    cases.append(case("refusals", "refusals", {}, {"codes": [{"number": n, "code": code} for n, code in enumerate(REFUSAL, 1)]}))
    return file("deposit.md", "Deposits, the mint's signed answers, and the numbers of its refusals. An outcome is given in its "
                "encoding inside the frame.", cases)


def double_spend(mint):
    """Two payments that share the token "one", as a proof; also (tokens, S) of both sides."""
    shared, other = mint.token(0, 500, "one"), mint.token(1, 200, "second side")
    first, second = [shared], [shared, other]
    sides, statements = [], []
    for tokens, recipient, amount, label in [(first, "news.example", 500, "one-token"), (second, "blog.example", 650, "second side")]:
        frame, s, _ = payment_of(mint, tokens, recipient, amount, SUBJECT, label)
        sides.append(evidence.side_of(s, spent_of(tokens), frame["proof"]))
        statements.append(s)
    return evidence.make(shared[0], shared[1], sides), (first, second), statements


def evidence_cases(mint):
    frame, (first, second), _ = double_spend(mint)
    ids = evidence.verify(frame, mint.list)
    earlier, _, _ = payment_of(mint, first, "news.example", 500, SUBJECT, "one-token")
    later, _, _ = payment_of(mint, second, "blog.example", 650, SUBJECT, "second side")
    return file("payment.md", "Two payments to two publishers that share a token, and the proof anybody can check.", [
        case("double-spend", "double-spend", {
            "list": wire.KEYSET_LIST.encode(mint.list.frame()), "root": mint.root, "subject": SUBJECT,
            "earlier": {"recipient": "news.example", "frame": wire.PAYMENT.encode(earlier)},
            "later": {"recipient": "blog.example", "frame": wire.PAYMENT.encode(later)}},
            {"payment_ids": ids, "frame": wire.DOUBLE_SPEND.encode(frame)})])


REFUND_MARK = {"ledger": rand("ledger", 16), "sequence": 43}


def refund_cases(mint):
    tokens, recipient, amount = payments(mint)["one-token"]
    _, _, id_ = payment_of(mint, tokens, recipient, amount, SUBJECT, "one-token")
    secret = scalar("publisher key")
    frame = refund.request(mint.root, id_, recipient, secret, rand("refund fresh", 32))
    refund.verify_request(frame, mint.root, public(secret))
    cases = [case("request", "refund-request", {
        "root": mint.root, "publisher_secret": ristretto.encode_scalar(secret), "payment_id": id_, "publisher": recipient,
        "fresh": rand("refund fresh", 32)}, {
        "publisher_key": public(secret), "digest": refund.request_digest(id_, recipient), "frame": wire.REFUND_REQUEST.encode(frame)})]
    for name, outcome in [("refunded", {"Refunded": None}), ("already-refunded", {"AlreadyRefunded": None}), ("refused", {"Refused": 2}),
                          ("refused-for-a-newer-reason", {"Refused": 4242})]:
        fresh = rand(f"refund answer {name} fresh", 32)
        answer = refund.sign(mint.root, REFUND_MARK, id_, outcome, mint.receipt_secrets[0], fresh)
        assert refund.verify(answer, id_, mint.list) == outcome
        cases.append(case(name, "refund-answer", {
            "list": wire.KEYSET_LIST.encode(mint.list.frame()), "root": mint.root,
            "receipt_secret": ristretto.encode_scalar(mint.receipt_secrets[0]), "ledger": REFUND_MARK["ledger"],
            "sequence": REFUND_MARK["sequence"], "payment_id": id_, "fresh": fresh}, {
            "digest": refund.answer_digest(REFUND_MARK, id_, outcome), "frame": wire.REFUND_RESPONSE.encode(answer)}))
    cases.append(case("refusals", "refund-refusals", {}, {"codes": [{"number": n, "code": code} for n, code in enumerate(REFUND_REFUSAL, 1)]}))
    return file("refund.md", "A publisher asks to give a payment back, every answer of the mint, and the numbers of its refusals.", cases)


def receipt_cases(mint):
    tokens, recipient, amount = payments(mint)["one-token"]
    _, _, id_ = payment_of(mint, tokens, recipient, amount, SUBJECT, "one-token")
    secret, cases = scalar("publisher key"), []
    for name, settled in [("settled", True), ("accepted", False)]:
        given = {"payment_id": id_, "publisher": recipient, "amount": amount, "settled": settled, "resource": rand("receipt resource", 32),
                 "paid_at": START + 100, "access_until": START + 86_500}
        fresh = rand(f"receipt {name} fresh", 32)
        proof = receipt.sign(given, secret, fresh)
        receipt.verify(given, public(secret), proof)
        cases.append(case(name, "receipt", {**given, "publisher_secret": ristretto.encode_scalar(secret), "fresh": fresh}, {
            "publisher_key": public(secret),
            "digest": receipt.digest(id_, settled, given["resource"], given["paid_at"], given["access_until"]),
            "t": proof["t"], "u": proof["u"]}))
    return file("payment.md", "What a publisher signs for the reader who paid.", cases)


def spent_cases():
    keyset = rand("spent keyset", 32)
    tokens = [{"denomination": [1, 100, 100_000][n % 3], "key": rand(f"spent key {n}", 32)} for n in range(10)]
    marks = [spent.mark(keyset, token["denomination"], token["key"]) for token in tokens]
    segment = spent.build(keyset, 4_096, marks[:6])
    assert all(spent.may_hold(segment, value) for value in marks[:6])
    given = {"keyset": keyset, "tokens": tokens, "segment": segment}
    hits = [spent.may_hold(segment, value) for value in marks]
    cases = [case("six-tokens", "spent", given, {"first": 4_096, "count": 6, "marks": [value.to_bytes(8, "little") for value in marks], "hits": hits})]
    return file("wire.md", "What stands for a spent token, and a filter of some, built in another way than the mint's.", cases)


def recorded(session):
    return restore.recorded(session["recovery"], session["denominations"], session["opened"]["commitments"], session["answer"]["responses"])


def buckets(mint, made):
    """Bucket 0 of both keysets: the wallet's sessions, a stranger's, and a stranger's under a recovery hash it has copied."""
    seed_bytes, other_seed = rand("wallet seed", 32), rand("other wallet seed", 32)
    secret, key = seed.voucher_key(rand("voucher", 16))
    stranger = mint.session("stranger session", other_seed, 0, [1], {"Voucher": key}, [secret], 0, 0)
    copied = dict(recorded(stranger), recovery=made["voucher"][0]["recovery"])
    own = {name: recorded(session) for name, (session, _) in made.items()}
    return seed_bytes, [restore.bucket(mint.list.ids[0], 0, [own["voucher"], recorded(stranger)]),
                        restore.bucket(mint.list.ids[0], 1, [own["voucher"], copied]),
                        restore.bucket(mint.list.ids[1], 0, [own[name] for name in ("refresh", "change", "reclaim", "recovery")])]


def restore_cases(mint, made):
    seed_bytes, all_buckets = buckets(mint, made)
    cases = []
    for name, frame in zip(["bought", "hash-copied-by-a-stranger", "refreshed-changed-and-reclaimed"], all_buckets):
        restore.check(frame, frame["keyset"], frame["bucket"])
        hashes = {session["recovery"] for session in frame["sessions"]}
        # The gap does not matter here: nothing of this seed lies beyond.
        found = restore.find(seed_bytes, mint.root, 0, hashes, gap=32)
        tokens, passed_over = restore.restore_all(frame, seed_bytes, mint.root, mint.list, gap=32)
        cases.append(case(name, "restore", {
            "list": wire.KEYSET_LIST.encode(mint.list.frame()), "root": mint.root, "seed": seed_bytes, "keyset": frame["keyset"],
            "bucket": frame["bucket"], "frame": wire.RESTORE_BUCKET.encode(frame)}, {
            "found": [{"index": index, "recovery": hash_} for index, hash_ in found], "passed_over": passed_over,
            "tokens": [token_json(token) for token in tokens]}))
    return file("restore.md", "Buckets of recorded sessions, and the tokens a wallet gets back from them with nothing but its seed. Bucket 1 holds "
                "a session of a stranger under a copied recovery hash, which is passed over.", cases)


def charge_request(mint, tip=False):
    details = {"mint": "https://mint.example", "keysets": wire.base64url(mint.list.head()), "title": "The price of a cent",
               "access": DAY, "resource": wire.base64url(rand("resource", 32)), "depositBy": START + 61 * DAY}
    if tip:
        details |= {"minimum": "100", "maximum": "5000"}
    return {"amount": "500", "currency": "eur/100000", "recipient": "news.example", "externalId": "article-42",
            "methodDetails": details}


def challenge(mint, label, full=False):
    echoed = {"id": wire.base64url(rand(f"{label} id", 32)), "realm": "news.example", "method": "farthing", "intent": "charge",
              "request": http_scheme.encode_request(charge_request(mint)), "expires": "2027-01-15T08:05:00Z",
              "opaque": wire.base64url(b'{"nonce":"' + wire.base64url(rand(f"{label} nonce", 16)).encode() + b'"}')}
    if full:
        echoed |= {"digest": "sha-256=:" + "A" * 43 + "=:", "description": "Ein Artikel für 0,5 Cent", "header": "Payment-Authorization"}
    return echoed


def credential(echoed, payload):
    return wire.base64url(http_scheme.canonical({"challenge": echoed, "payload": payload}).encode())


def http_cases(mint):
    cases = []
    for name, tip in [("charge", False), ("tip", True)]:
        request = charge_request(mint, tip)
        http_scheme.parse_request(http_scheme.canonical(request))
        cases.append(case(f"request-{name}", "http-request", {"request": request},
                          {"canonical": http_scheme.canonical(request), "base64url": http_scheme.encode_request(request)}))
    for name, echoed, salt in [("all-parameters", challenge(mint, "full", True), rand("salt", 32)),
                               ("no-salt", challenge(mint, "again"), b""),
                               ("empty-is-not-absent", dict(challenge(mint, "again"), digest=""), b"")]:
        cases.append(case(f"subject-{name}", "http-subject", {"challenge": echoed, "salt": salt},
                          {"subject": http_scheme.subject(echoed, salt)}))
    # A whole credential: the challenge, the payment bound to it, and the header that carries both.
    tokens, salt, echoed = [mint.token(0, 500, "http")], rand("salt", 32), challenge(mint, "first")
    subject = http_scheme.subject(echoed, salt)
    frame, s, id_ = payment_of(mint, tokens, "news.example", 500, subject, "http")
    payload = {"payment": wire.base64url(wire.PAYMENT.encode(frame)), "salt": wire.base64url(salt)}
    cases.append(case("credential-payment", "http-payment", {
        "list": wire.KEYSET_LIST.encode(mint.list.frame()), "root": mint.root, "challenge": echoed, "salt": salt,
        "tokens": [token_json(t) for t in tokens], "fresh": rand("http fresh", 32)}, {
        "subject": subject, "statement": s, "payment_id": id_, "frame": wire.PAYMENT.encode(frame), "payload": payload,
        "authorization": "Payment " + credential(echoed, payload)}))
    again = challenge(mint, "again")
    subject = http_scheme.subject(again, b"")
    s = proofs.statement(b"news.example", 0, 0, subject)
    reread = {"payment": id_, "proof": prove_tokens("reread", s, tokens, "http reread")}
    payload = {"reread": wire.base64url(wire.REREAD.encode(reread))}
    cases.append(case("credential-reread", "http-reread", {
        "challenge": again, "tokens": [token_json(t) for t in tokens], "recipient": "news.example", "payment": id_,
        "fresh": rand("http reread fresh", 32)}, {
        "subject": subject, "statement": s, "frame": wire.REREAD.encode(reread), "payload": payload,
        "authorization": "Payment " + credential(again, payload)}))
    return file("http.md", "The JSON of a challenge, the digest D, and whole credentials.", cases)


def frame_cases(files):
    """One frame of every kind, taken from the other files, with its JSON."""
    def output(file_name, case_name, field):
        return next(c for c in files[file_name]["cases"] if c["name"] == case_name)["output"][field]

    def output_frame(file_name, case_name):
        return next(c for c in files[file_name]["cases"] if c["name"] == case_name)["input"]["frame"]

    chosen = [output("payment.json", "mixed-keysets", "frame"), output("payment.json", "reread", "frame"),
              output("issue.json", "voucher", "open_request"), output("issue.json", "refresh", "open_request"),
              output("issue.json", "change", "open_request"), output("issue.json", "reclaim", "open_request"), output("issue.json", "voucher", "open_response"),
              output("issue.json", "voucher", "issue_request"), output("issue.json", "voucher", "issue_response"),
              output("deposit.json", "request-with-mark", "frame"), output("deposit.json", "request", "frame"),
              output("deposit.json", "every-outcome", "frame"), output("evidence.json", "double-spend", "frame"),
              output("keysets.json", "list", "frame"), output("refund.json", "request", "frame"),
              output("refund.json", "refunded", "frame"), output("refund.json", "refused", "frame"),
              output_frame("restore.json", "bought")]
    cases = []
    for number, data in enumerate(chosen):
        frame = wire.BY_KIND[data[1]]
        value = frame.decode(data)
        assert frame.encode(value) == data and frame.decode_json(json.dumps(frame.to_json(value))) == value
        cases.append(case(f"{number:02}-{frame.name}", "frame", {"kind": frame.kind, "limit": frame.limit, "frame": data},
                          {"size": len(data), "json": frame.to_json(value)}))
    return file("wire.md", "Every kind of frame in both encodings.", cases)


def all_files(mint):
    """{file name: content}."""
    traces, open_trace = {}, []

    def observe(domain, trace):
        open_trace.append((domain, trace))

    labels.OBSERVER = observe
    try:
        labels.second_generator()
        labels.Transcript(labels.BATCH).bytes("fresh", rand("batch fresh", 32)).u64("count", 1).bytes(
            "message", rand("batch message", 152)).squeeze("challenge", 32)
        made = sessions(mint)
        double, _, _ = double_spend(mint)
        mint.proposal(START, START)
        files = {
            "generators.json": generators(), "snowblind.json": snowblind_cases(mint), "wallet.json": wallet(mint),
            "voucher.json": voucher(), "keysets.json": keyset_cases(world.mint()), "issue.json": issue_cases(mint, made),
            "payment.json": payment_cases(mint), "deposit.json": deposit_cases(mint, double), "evidence.json": evidence_cases(mint),
            "http.json": http_cases(mint), "refund.json": refund_cases(mint), "receipt.json": receipt_cases(mint), "restore.json": restore_cases(mint, made), "spent.json": spent_cases()}
    finally:
        labels.OBSERVER = None
    for domain, trace in open_trace:
        # A proof's own transcript ends in a digest for the hedge; the one with T is a clone, whose domain is not repeated.
        if domain is None and len(trace) > 1 and trace[-2].get("append") == "T":
            domain = labels.PROOF
        elif domain in (None, labels.PROOF):
            continue
        traces.setdefault(domain, trace)
    files["transcripts.json"] = transcripts(traces)
    files["frames.json"] = frame_cases(files)
    return files
