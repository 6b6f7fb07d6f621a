#!/usr/bin/env python3
"""The module against the library, without readers: test_farthing.py SETTINGS REFERENCE. Exits non-zero at the first difference."""

import os
import sys
import threading

import farthing


def code(act):
    try:
        act()
    except farthing.Error as error:
        return error.code
    return "done"


with open(sys.argv[1], encoding="utf-8") as file:
    settings = file.read()
reference = sys.argv[2]

assert code(lambda: farthing.Verifier("nonsense")) == "bad-settings"
assert code(lambda: farthing.Verifier({"publisher": "news.example"})) == "bad-settings"
with farthing.Verifier(settings) as verifier:
    assert code(lambda: farthing.Verifier(settings)) == "bad-settings", "one process at a time uses the data"
    verifier.ready()
    assert verifier.decide("GET", "/").serve
    assert verifier.check("GET", "/") == {"decision": "found", "payment": None}
    assert verifier.decide("GET", "/articles//one").status == 400

    challenges = []

    def ask():
        for _ in range(20):
            decision = verifier.decide("GET", "/articles/one", {"Accept": "application/json", "Cookie": "a\u00e9\n"})
            assert (decision.serve, decision.status) == (False, 402)
            challenges.append(dict(decision.headers)["www-authenticate"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each came with another one for the pass.
    assert len(set(challenges)) == len(challenges) == 160
    assert "farthing_verifier_challenge_total 320\n" in verifier.metrics()

    # The application is asked for what was decided about, or not at all.
    def status(**environ):
        told = []
        application = farthing.Paywall(lambda environ, start: start("200 OK", []), verifier)
        application({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", **environ}, lambda status, headers, exc_info=None: told.append(status))
        return told[0][:3]

    assert status(RAW_URI="/x/%61?q", PATH_INFO="/x/a") == status(RAW_URI="/x/a", SCRIPT_NAME="/x", PATH_INFO="/a") == "200"
    assert status(RAW_URI="/articles/one", PATH_INFO="/articles/one") == "402"
    assert status(RAW_URI="/x/articles/one", PATH_INFO="/articles/one") == "400"
    assert status(RAW_URI="/x/articles/one", SCRIPT_NAME="/x", PATH_INFO="/articles/one", HTTP_SCRIPT_NAME="/x") == "400"

    # What was paid before is given back once, however often it is asked for.
    assert verifier.refund(reference) == verifier.refund(reference) == {"payment": reference, "amount": "500", "state": "refunded"}
    assert code(lambda: verifier.refund("A" * 43)) == "payment-unknown"
    assert code(lambda: verifier.refund("?")) == "bad-argument"
    assert len(verifier.proofs()) == 1

    # A process that was forked off is told, and its end does not disturb this one.
    child = os.fork()
    if child == 0:
        found = code(lambda: verifier.decide("GET", "/articles/one"))
        verifier.close()
        os._exit(0 if found == "forked" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert verifier.decide("GET", "/articles/one").status == 402
assert code(verifier.ready) == "closed"
verifier.close()
farthing.Verifier(settings).close()
