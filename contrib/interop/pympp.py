"""The PyPI package `pympp` against a site that sells for Farthing: pympp.py SITE SECRET FARTHING WALLET

It reads and writes the 402, the credential, the receipt and Accept-Payment; the payment inside is made by the wallet's `answer`.
"""

import asyncio
import dataclasses
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx
from mpp import Challenge, ClientMethod, Credential, Receipt
from mpp.client import Mpp
from mpp.methods import Method
from pydantic import BaseModel

SITE, SECRET, FARTHING, WALLET = sys.argv[1:]
HOST = httpx.URL(SITE).netloc.decode()


def pay(url, challenge):
    """What the wallet answers to a challenge, as this library wrote it again."""
    command = [FARTHING, "--wallet", WALLET, "--json", "answer", "--max-price", "0.05", url]
    line = challenge.to_www_authenticate(challenge.realm) + "\n"
    run = subprocess.run(command, input=line, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)["authorization"]


def finish(url):
    run = subprocess.run([FARTHING, "--wallet", WALLET, "--json", "pay", "--yes", url], capture_output=True, text=True)
    assert run.returncode == 0 and json.loads(run.stdout)["kind"] == "finished", run.stderr


def send(url, authorization):
    return httpx.get(url, headers={"Authorization": authorization})


def refused(url, credential, status, code):
    answer = send(url, credential.to_authorization())
    assert (answer.status_code, answer.json()["code"]) == (status, code), (answer.status_code, answer.text)


# --- it reads our 402, and computes the same id, which covers what it covers
url = f"{SITE}/articles/pympp-1"
asked = httpx.get(url)
assert asked.status_code == 402 and asked.headers["cache-control"] == "no-store"
challenge = Challenge.from_www_authenticate(asked.headers["www-authenticate"])
assert (challenge.realm, challenge.method, challenge.intent) == (HOST, "farthing", "charge")
assert (challenge.request["recipient"], challenge.request["currency"]) == (HOST, "eur/100000")
assert challenge.request["methodDetails"]["title"] == 'Zürich “für alle” – 1 € \\ "x"'
assert challenge.digest is None
expires = datetime.fromisoformat(challenge.expires)
assert timedelta() < expires - datetime.now(UTC) <= timedelta(minutes=6)
assert challenge.verify(SECRET, HOST) and not challenge.verify(SECRET + "x", HOST) and not challenge.verify(SECRET, "evil.example")
for changed in (
    {"expires": (expires + timedelta(seconds=1)).isoformat()},
    {"request": {**challenge.request, "amount": "1"}},
    {"opaque": {**challenge.opaque, "method": "POST"}},
):
    assert not dataclasses.replace(challenge, **changed).verify(SECRET, HOST)
other = httpx.get(url, headers={"Accept-Payment": "stripe/charge"})
assert (other.status_code, other.json()["code"]) == (402, "method-not-accepted") and "www-authenticate" not in other.headers

# --- the wallet pays what it wrote again, it reads the wallet's credential, and we take it as it writes it; changed, we refuse it
read = Credential.from_authorization(pay(url, challenge))
assert read.challenge == challenge.to_echo() and sorted(read.payload) == ["payment", "salt"]
theirs = Credential(challenge=challenge.to_echo(), payload=read.payload)
refused(f"{SITE}/articles/pympp-2", theirs, 402, "wrong-resource")
refused(url, dataclasses.replace(theirs, payload={"signature": "0x"}), 402, "malformed-credential")
refused(url, dataclasses.replace(theirs, challenge=dataclasses.replace(theirs.challenge, realm="evil.example")), 402, "wrong-publisher")
refused(url, dataclasses.replace(theirs, challenge=dataclasses.replace(theirs.challenge, method="tempo")), 400, "method-unsupported")
later = dataclasses.replace(theirs.challenge, expires=(expires + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"))
refused(url, dataclasses.replace(theirs, challenge=later), 402, "challenge-unknown")
served = send(url, theirs.to_authorization())
assert served.status_code == 200 and served.headers["cache-control"] == "private", served.text
assert served.text.startswith("paid /articles/pympp-1 500 ")
receipt = Receipt.from_payment_receipt(served.headers["payment-receipt"])
assert (receipt.status, receipt.method, len(receipt.reference)) == ("success", "farthing", 43)
assert abs(receipt.timestamp - datetime.now(UTC)) < timedelta(minutes=1)

# --- a challenge that it makes itself under the site's secret is the site's own; the wallet has one payment a page on the way
finish(url)
made = Challenge.create(
    secret_key=SECRET,
    realm=HOST,
    method="farthing",
    intent="charge",
    request=challenge.request,
    expires=challenge.expires,
    meta={**challenge.opaque, "nonce": "BwcHBwcHBwcHBwcHBwcHBw"},
)
assert send(url, pay(url, made)).status_code == 200


# --- its whole client: 402, our wallet as its method, credential, page
class Anything(BaseModel, extra="allow"):
    pass


async def whole():
    url = f"{SITE}/articles/pympp-3"

    async def create(parameters):
        return pay(url, parameters.challenge)

    method = ClientMethod(method=CHARGE, create_credential=create)
    async with Mpp(methods=[method], allowed_origins=[SITE]) as client:
        bought = await client.fetch(url)
    assert bought.status_code == 200 and bought.text.startswith("paid /articles/pympp-3 500 "), bought.text
    assert Receipt.from_payment_receipt(bought.headers["payment-receipt"]).method == "farthing"


CHARGE = Method(name="farthing", intent="charge", request_model=Anything, payload_model=Anything)
asyncio.run(whole())
print("pympp: ok")
