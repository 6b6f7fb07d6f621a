#!/usr/bin/env python3
"""Takes one defence at a time out of a copy of the code, and shows that the test of the attack fails then (attacks.md).

    python3 spec/left_out.py            all of them, some minutes each time the copy is built
    python3 spec/left_out.py WORD ..    those whose attack holds one of the words
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent

SITE = "-p farthing-verifier --features postgres --test site"
WALLET = "-p farthing-wallet --test wallet"

# Attack, file, what stands there, what takes its place, where the tests are, and the tests that have to fail.
LEFT_OUT = [
    ("forged token on a fast path", "verifier/src/verifier.rs",
     "            && stated.is_same(&record)\n        {\n            inner.counters.replay();",
     "            && (stated.is_same(&record) || stated.id() == stated.id())\n        {\n            inner.counters.replay();",
     SITE, ["a_paid_payment_is_no_way_in_for_a_forged_one"]),
    ("refused-then-replayed payment served", "verifier/src/verifier.rs",
     "        served_state(&record.state)?;\n        if record.state.serves() { Ok(Paid",
     "        if record.state.serves() || !record.state.serves() { Ok(Paid",
     SITE, ["what_the_mint_refuses_stays_refused", "a_token_paid_at_another_publisher_is_refused_and_stays_refused"]),
    ("restore then pay", "wallet/src/restoring.rs",
     "state: TokenState::RefreshOnly, acquired: now", "state: TokenState::Owned, acquired: now",
     WALLET, ["a_restored_wallet_pays_only_what_it_has_refreshed"]),
    ("clock forward and back", "verifier/src/clock.rs",
     ".max(self.highest_claim.load(Ordering::Relaxed))", ".max(self.highest_claim.load(Ordering::Relaxed).min(0))",
     SITE, ["a_clock_set_back_revives_nothing"]),
    ("one keyset per reader", "wallet/src/lib.rs",
     "if self.store.fork()?.is_some() { Err", "if self.store.fork()?.is_some_and(|fork| fork.is_empty()) { Err",
     WALLET, ["a_forked_keyset_list_stops_the_wallet_for_good_and_its_evidence_stays"]),
    ("relayed challenge of another site", "wallet/src/offer.rs",
     'if request.recipient != publisher {\n            return Err(WalletError::Offer("it names another publisher',
     'if request.recipient != publisher && request.recipient.is_empty() {\n            return Err(WalletError::Offer("it names another publisher',
     WALLET, ["a_relayed_offer_of_another_site_is_not_paid"]),
    ("spoofed trust header", "verifier/src/sidecar/original.rs",
     "            Peer::Tcp(address) => self.0.iter().any(",
     "            Peer::Tcp(_) if self.0.len() < 1_000 => true,\n            Peer::Tcp(address) => self.0.iter().any(",
     "-p farthing-verifier --features postgres --lib", ["only_configured_peers_are_trusted"]),
    ("forgotten refresh, second refresh", "mint/src/store/sql/rows.rs",
     "insert_spent(connection, &rows.iter().map(|row|", "insert_spent(connection, &rows.iter().take(0).map(|row|",
     WALLET, ["a_wallet_that_has_forgotten_a_refresh_gets_nothing_twice_and_loses_nothing"]),
    ("gigabyte length prefix", "protocol/src/wire/mod.rs",
     "const LARGEST: usize = 4 << 20;", "const LARGEST: usize = usize::MAX;",
     "-p farthing-protocol --test attacks", ["a_length_that_lies_is_refused_before_anything_is_read"]),
]


def run(tree, where, tests):
    """Whether every test ran and failed."""
    command = ["cargo", "test", "--quiet", "--no-fail-fast", *where.split(), "--", *tests]
    told = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    return f"test result: FAILED. 0 passed; {len(tests)} failed" in told.stdout, told.stdout[-2000:] + told.stderr[-2000:]


def main():
    words = sys.argv[1:]
    chosen = [row for row in LEFT_OUT if not words or any(word in row[0] for word in words)]
    missed = []
    with tempfile.TemporaryDirectory() as directory:
        tree = pathlib.Path(directory) / "copy"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("target", ".git"))
        os.environ.setdefault("CARGO_TARGET_DIR", str(pathlib.Path(directory) / "target"))
        for attack, path, stands, instead, where, tests in chosen:
            file = tree / path
            text = file.read_text(encoding="utf-8")
            if text.count(stands) != 1:
                missed.append(attack)
                print(f"{attack}: {path} has changed, the defence is not found")
                continue
            file.write_text(text.replace(stands, instead), encoding="utf-8")
            failed, told = run(tree, where, tests)
            file.write_text(text, encoding="utf-8")
            print(f"{attack}: {'its tests fail without the defence' if failed else 'NOT NOTICED'}", flush=True)
            if not failed:
                missed.append(attack)
                print(told)
    print(f"{len(chosen)} defences left out, {len(missed)} not noticed")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
