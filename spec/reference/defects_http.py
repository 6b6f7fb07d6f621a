"""Challenges, credentials and payments over HTTP that must be refused."""

import http_scheme
import positive
import wire
from defects import flip, vector
from world import rand


def http(mint, files, context):
    good = next(c for c in files["http.json"]["cases"] if c["name"] == "credential-payment")
    echoed, salt, frame = good["input"]["challenge"], good["input"]["salt"], good["output"]["frame"]
    cases = []

    def add(name, harm, challenge=echoed, salt=salt, recipient="news.example"):
        cases.append(vector("http", name, "http-payment", "invalid-proof", harm, {
            **context, "challenge": challenge, "salt": salt, "frame": frame, "recipient": recipient}))

    other = dict(positive.charge_request(mint), externalId="article-43")
    add("salt-changed", "a payment opens what it was not made for", salt=flip(salt))
    add("salt-missing", "the mint tries articles until one fits D", salt=b"")
    add("challenge-id-exchanged", "a payment answers another challenge", {**echoed, "id": wire.base64url(rand("again id", 32))})
    add("request-of-another-article", "one payment opens another article", {**echoed, "request": http_scheme.encode_request(other)})
    add("realm-exchanged", "a site relays another site's challenge", {**echoed, "realm": "thief.example"})
    add("recipient-of-a-relaying-site", "a site is paid for another's article", recipient="thief.example")
    add("expires-exchanged", "an old challenge lives on", {**echoed, "expires": "2028-01-15T08:05:00Z"})
    add("opaque-dropped", "two readers share a challenge", {k: v for k, v in echoed.items() if k != "opaque"})
    add("description-added", "the reader saw other words than the verifier", {**echoed, "description": "free"})
    add("digest-empty-instead-of-absent", "absent and empty parameters are confused", {**echoed, "digest": ""})
    again = next(c for c in files["http.json"]["cases"] if c["name"] == "credential-reread")
    token = again["input"]["tokens"][0]
    keys = [{name: token[name] for name in ("keyset", "denomination", "key")}]
    cases.append(vector("http", "reread-of-another-challenge", "http-reread", "invalid-proof", "a recorded reread opens the article for anybody", {
        "challenge": echoed, "recipient": "news.example", "frame": again["output"]["frame"], "keys": keys}))
    stranger = mint.token(0, 500, "one")
    cases.append(vector("http", "reread-by-other-keys", "http-reread", "invalid-proof", "whoever knows a payment id reads", {
        "challenge": again["input"]["challenge"], "recipient": "news.example", "frame": again["output"]["frame"],
        "keys": [{"keyset": stranger[0][0], "denomination": 500, "key": stranger[0][2]}]}))

    def malformed(name, operation, harm, text):
        cases.append(vector("http", name, operation, "malformed-credential", harm, {"json": text}))

    payload, request = good["output"]["payload"], positive.charge_request(mint)
    both = {**payload, "reread": again["output"]["payload"]["reread"]}
    dump = http_scheme.canonical
    malformed("payload-pays-and-rereads", "http-payload", "verifiers disagree about what a credential is", dump(both))
    malformed("payload-without-salt", "http-payload", "the mint guesses the article", dump({"payment": payload["payment"]}))
    malformed("payload-with-unknown-field", "http-payload", "what one verifier ignores another obeys", dump({**payload, "source": "me"}))
    malformed("payload-salt-a-number", "http-payload", "types are guessed", dump({**payload, "salt": 1}))
    malformed("payload-field-twice", "http-payload", "first or last wins: verifiers disagree", '{"reread":"AA","reread":"AQ"}')
    malformed("payload-not-json", "http-payload", "reading beyond the text", dump(payload)[:-1])
    malformed("request-with-unknown-field", "http-request", "a wallet pays under terms it does not know", dump({**request, "minimum": "1"}))
    malformed("request-without-recipient", "http-request", "a wallet pays it knows not whom", dump(
        {k: v for k, v in request.items() if k != "recipient"}))
    malformed("request-amount-a-number", "http-request", "amounts lose digits in floating point", dump({**request, "amount": 500}))
    malformed("request-access-negative", "http-request", "access that ended before it began", dump(
        {**request, "methodDetails": {**request["methodDetails"], "access": -1}}))
    malformed("request-deadline-fractional", "http-request", "deadlines in floating point", dump(
        {**request, "methodDetails": {**request["methodDetails"], "depositBy": 1.5}}))
    return cases
