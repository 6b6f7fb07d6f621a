#!/usr/bin/env python3
"""Takes one defence at a time out of a copy of the code, and shows that the test of the attack fails then (attacks.md).

    python3 spec/left_out.py            all of them, some minutes each time the copy is built
    python3 spec/left_out.py WORD ..    those whose attack holds one of the words
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent

SITE = "-p farthing-verifier --features postgres --test site"
WALLET = "-p farthing-wallet --test wallet"
MINT = "-p farthing-mint --test"
# What is served where a refusal was expected is no problem document.
PROBLEM = 'right: "application/problem+json"'

# Attack, file, what stands there (or several things), what takes its place, where the tests are, and the tests that have to fail, each with a piece of what it
# says then: a test that fails for another reason shows nothing.
LEFT_OUT = [
    ("forged token on a fast path", "verifier/src/verifier.rs",
     "            && stated.is_same(&record)\n        {\n            inner.counters.replay();",
     "            && (stated.is_same(&record) || stated.id() == stated.id())\n        {\n            inner.counters.replay();",
     SITE, {"a_paid_payment_is_no_way_in_for_a_forged_one": "left: 200"}),
    ("refused-then-replayed payment served", "verifier/src/verifier.rs",
     "        served_state(&record.state)?;\n        if record.state.serves() { Ok(Paid",
     "        if record.state.serves() || !record.state.serves() { Ok(Paid",
     SITE, {"what_the_mint_refuses_stays_refused": PROBLEM, "a_token_paid_at_another_publisher_is_refused_and_stays_refused": PROBLEM}),
    ("restore then pay", "wallet/src/restoring.rs",
     "state: TokenState::RefreshOnly, acquired: now", "state: TokenState::Owned, acquired: now",
     WALLET, {"a_restored_wallet_pays_only_what_it_has_refreshed": 'PaymentRefused { code: "double-spend", proof: Some('}),
    ("clock forward and back", "verifier/src/clock.rs",
     ".max(self.highest_claim.load(Ordering::Relaxed))", ".max(self.highest_claim.load(Ordering::Relaxed).min(0))",
     SITE, {"a_clock_set_back_revives_nothing": "left: 200"}),
    ("one keyset per reader", "wallet/src/lib.rs",
     "if self.store.fork()?.is_some() { Err", "if self.store.fork()?.is_some_and(|fork| fork.is_empty()) { Err",
     WALLET, {"a_forked_keyset_list_stops_the_wallet_for_good_and_its_evidence_stays": "Err(WalletError::Keysets(KeysetError::Forked))"}),
    # Both of what an offer has to name: the page's publisher, and the page.
    ("relayed challenge of another site", "wallet/src/offer.rs",
     ("if request.recipient != publisher {", "if details.resource != Base64UrlUnpadded::encode_string(&Sha256::digest(resource)) {"),
     ("if request.recipient != publisher && publisher.is_empty() {",
      "if details.resource != Base64UrlUnpadded::encode_string(&Sha256::digest(resource)) && publisher.is_empty() {"),
     # It was sent to the relaying site, which says nothing.
     WALLET, {"a_relayed_offer_of_another_site_is_not_paid": 'PaymentRefused { code: "unknown"'}),
    ("spoofed trust header", "verifier/src/sidecar/original.rs",
     "            Peer::Tcp(address) => self.0.iter().any(",
     "            Peer::Tcp(_) if self.0.len() < 1_000 => true,\n            Peer::Tcp(address) => self.0.iter().any(",
     "-p farthing-verifier --features postgres --lib", {"only_configured_peers_are_trusted": "127.0.0.2"}),
    ("forgotten refresh, second refresh", "mint/src/store/sql/rows.rs",
     "insert_spent(connection, &rows.iter().map(|row|", "insert_spent(connection, &rows.iter().take(0).map(|row|",
     WALLET, {"a_wallet_that_has_forgotten_a_refresh_gets_nothing_twice_and_loses_nothing": "the mint pays a token out once"}),
    # The state of a keyset is remembered from the first look instead of being read in the transaction that inserts.
    ("prune against deposit in flight", "mint/src/store/sql/deposits.rs",
     'row.try_get::<i64, _>("state")? == keysets::OPEN));',
     """{
                static SEEN: std::sync::Mutex<std::collections::BTreeMap<[u8; 32], bool>> = std::sync::Mutex::new(std::collections::BTreeMap::new());
                let open = row.try_get::<i64, _>("state")? == keysets::OPEN;
                SEEN.lock().is_ok_and(|mut seen| *seen.entry(id.0).or_insert(open))
            }));""",
     f"{MINT} bounded", {"deposits_in_flight_while_another_process_closes_and_prunes_are_booked_once_or_refused":
                         "the keyset is closed, and more is booked"}),
    ("copied keyset of another mint", "protocol/src/keyset.rs",
     ".bytes(labels::ROOT, root.as_bytes())\n        .u64(labels::NUMBER, number)\n",
     ".bytes(labels::ROOT, &root.as_bytes()[..0])\n        .u64(labels::NUMBER, number)\n",
     "-p farthing-protocol --test attacks", {"a_mint_that_copies_anothers_keyset_takes_no_token_of_it": "the id binds the root key"}),
    # The root key that a list names is taken for the pinned one.
    ("copied keyset of another mint", "protocol/src/keyset.rs",
     "        if frame.root.0 != *root.as_bytes() {\n            return Err(KeysetError::WrongRoot);\n        }\n",
     "        let root = &Point::from_bytes(frame.root.0).map_err(|_| KeysetError::WrongRoot)?;\n",
     SITE, {"lists_that_are_not_the_mints_are_refused": "matches!(opened.err(), Some(VerifierError::Keysets(KeysetError::WrongRoot)))"}),
    # A mark above the ledger's own says nothing.
    ("restored backup", "mint/src/operations/deposits.rs",
     "if sequence <= own { Ok(()) }", "if sequence <= own || own <= sequence { Ok(()) }",
     f"{MINT} deposits", {"a_restored_backup_stops_the_mint_and_an_invented_mark_does_not": "left: 200"}),
    ("restored backup", "mint/src/operations/deposits.rs",
     "if sequence <= own { Ok(()) }", "if sequence <= own || own <= sequence { Ok(()) }",
     f"{MINT} resync", {"a_restored_mint_catches_up_from_its_publishers": "left: 200"}),
    # It is remembered by the process that was shown it alone.
    ("restored backup", "mint/src/store/sql/resync.rs",
     "WHERE id = 1 AND shown < $1", "WHERE id = 1 AND shown < $1 AND shown < 0",
     f"{MINT} resync", {"a_restored_mint_catches_up_from_its_publishers": "left: 200"}),
    ("tokens, URLs or addresses in logs", "mint/src/http/monitor.rs",
     "    let response = next.run(request).await;",
     '    tracing::debug!(path = request.uri().path(), "asked");\n    let response = next.run(request).await;',
     f"{MINT} service", {"logs_and_metrics_hold_nothing_of_anybody": "the log holds /v1/"}),
    ("tokens, URLs or addresses in logs", "mint/src/http/clients.rs",
     "        let mut client = peer;", '        tracing::trace!(%peer, "asks");\n        let mut client = peer;',
     f"{MINT} service", {"logs_and_metrics_hold_nothing_of_anybody": "the log holds 127.0.0.1"}),
    ("tokens, URLs or addresses in logs", "mint/src/operations/deposits.rs",
     "        for token in spending.list() {", '        for token in spending.list() {\n            tracing::trace!(key = ?token.key, "a token");',
     f"{MINT} service", {"logs_and_metrics_hold_nothing_of_anybody": "the log holds a token"}),
    ("tokens, URLs or addresses in logs", "verifier/src/offer.rs",
     'write!(f, "Resource({}, ..)", self.method)', 'write!(f, "Resource({}, {})", self.method, self.encoded())',
     SITE, {"nothing_that_is_printed_says_anything": "right: \"Resource(GET, ..)\""}),
    ("tokens, URLs or addresses in logs", "verifier/src/sidecar/command.rs",
     '.starts_with("farthing_")', '.starts_with("")',
     SITE, {"a_sidecar_that_logs_everything_names_nobody": "the log holds 127.0.0.1"}),
    ("tokens, URLs or addresses in logs", "verifier/src/sidecar/api.rs",
     "Original::new(&question.method, &question.url, headers)",
     'tracing::trace!(url = %question.url, "asked");\n        Original::new(&question.method, &question.url, headers)',
     SITE, {"a_sidecar_that_logs_everything_names_nobody": "the log holds /articles/"}),
    ("gigabyte length prefix", "protocol/src/wire/mod.rs",
     "const LARGEST: usize = 4 << 20;", "const LARGEST: usize = usize::MAX;",
     "-p farthing-protocol --test attacks", {"a_length_that_lies_is_refused_before_anything_is_read": "capacity overflow"}),
]


def changes(row):
    """What stands in a row's file, each with what takes its place."""
    return list(zip(row[2], row[3])) if isinstance(row[2], tuple) else [(row[2], row[3])]


def noticed(told, tests):
    """Whether every test ran, and failed saying what it should."""
    sections = re.split(r"^---- (\S+) stdout ----$", told, flags=re.M)
    said = dict(zip((name.rsplit("::", 1)[-1] for name in sections[1::2]), sections[2::2]))
    failed = f"test result: FAILED. 0 passed; {len(tests)} failed" in told
    return failed and all(words in said.get(test, "") for test, words in tests.items())


def run(tree, where, tests):
    """Whether the tests notice, and what they said."""
    command = ["cargo", "test", "--quiet", "--no-fail-fast", *where.split(), "--", *tests]
    told = subprocess.run(command, cwd=tree, capture_output=True, text=True, env={**os.environ, "RUST_BACKTRACE": "0"})
    # What is accused is a thousand numbers on one line.
    said = "\n".join(line[:200] for line in (told.stdout + told.stderr).splitlines()[-60:])
    return noticed(told.stdout, tests), said


def main():
    words = sys.argv[1:]
    chosen = [row for row in LEFT_OUT if not words or any(word in row[0] for word in words)]
    missed = []
    with tempfile.TemporaryDirectory() as directory:
        tree = pathlib.Path(directory) / "copy"
        # With the time of now: what an earlier run has built without a defence, in the same target directory, is not taken for fresh.
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("target", ".git"), copy_function=shutil.copy)
        os.environ.setdefault("CARGO_TARGET_DIR", str(pathlib.Path(directory) / "target"))
        for row in chosen:
            attack, path, _, _, where, tests = row
            file = tree / path
            text = file.read_text(encoding="utf-8")
            if any(text.count(stands) != 1 for stands, _ in changes(row)):
                missed.append(attack)
                print(f"{attack}: {path} has changed, the defence is not found")
                continue
            without = text
            for stands, instead in changes(row):
                without = without.replace(stands, instead)
            file.write_text(without, encoding="utf-8")
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
