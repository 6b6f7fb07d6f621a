#!/usr/bin/env python3
"""Breaks a copy of the code in one place at a time, and shows that the target which watches over it finds that from the seeds.

    python3 fuzz/oracles.py             every break: one build of each target with all of them asleep, then a run each that ends with the finding
    python3 fuzz/oracles.py WORD ..     those whose target or name holds one of the words

What a target said stands beside each: whether that is about the break is for whoever reads it. CARGO_TARGET_DIR may name a directory that
has the dependencies built already.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A target has this long, in seconds.
LONGEST = 600

# In the copy only: which break is awake.
SWITCH = """
/// Whether the break of this number is awake.
pub fn broken(number: u32) -> bool {
    extern crate std;
    static AWAKE: std::sync::OnceLock<Option<u32>> = std::sync::OnceLock::new();
    *AWAKE.get_or_init(|| std::env::var("FARTHING_BROKEN").ok()?.parse().ok()) == Some(number)
}
"""

# Target, what is broken, and how: file, what stands there, what takes its place.
BREAKS = [
    ("frames", "bytes after the end of a frame are passed over", [
        ("protocol/src/wire/mod.rs", "if read != body.len() {", "if read != body.len() && !BROKEN {"),
        ("protocol/src/wire/mod.rs", "if frame.to_bytes() != bytes {",
         "if frame.to_bytes() != bytes && !(BROKEN && bytes.starts_with(&frame.to_bytes())) {"),
    ]),
    ("payment", "a token may stand in a payment twice", [
        ("protocol/src/payment.rs", "Some(core::cmp::Ordering::Equal) => return Err(PaymentError::DuplicateToken)",
         "Some(core::cmp::Ordering::Equal) if !BROKEN => return Err(PaymentError::DuplicateToken)"),
    ]),
    ("batch", "one weight for all proofs of a batch", [
        ("protocol/src/batch.rs", "let weights = self.prepared.iter_mut().map(|one| &mut one.weight)",
         "if let (true, Some(first)) = (BROKEN, bytes.first().copied()) { bytes[..self.prepared.len()].fill(first); }\n"
         "        let weights = self.prepared.iter_mut().map(|one| &mut one.weight)"),
    ]),
    ("differential", "a reader does not check z", [
        ("protocol/src/snowblind.rs", "|| RistrettoPoint::mul_base(&response.z) != answered {",
         "|| (!BROKEN && RistrettoPoint::mul_base(&response.z) != answered) {"),
    ]),
    ("keysets", "three keysets of a unit may issue at a time", [
        ("protocol/src/keyset.rs", "if overlapping.count() > 1 {", "if overlapping.count() > (if BROKEN { 2 } else { 1 }) {"),
    ]),
    ("restore", "a restoring reader does not check b and y", [
        ("protocol/src/snowblind.rs", "if opened != *self.commitment.b.element() ||", "if (!BROKEN && opened != *self.commitment.b.element()) ||"),
    ]),
    ("http", "a credential goes on to the publisher's service", [
        ("verifier/src/decision.rs", ".filter(|value| !carries_payment(value))", ".filter(|value| BROKEN || !carries_payment(value))"),
    ]),
    ("mint", "change is taken twice", [
        ("mint/src/store/sql/rows.rs",
         'sqlx::query("UPDATE payment SET taken = 1 WHERE id = $1 AND taken = 0 AND change = $2 AND change > 0")',
         'sqlx::query(if BROKEN { "UPDATE payment SET taken = 1 WHERE id = $1 AND change = $2 AND change > 0" } else {'
         ' "UPDATE payment SET taken = 1 WHERE id = $1 AND taken = 0 AND change = $2 AND change > 0" })'),
        ("mint/src/store/sql/rows.rs", 'if row.try_get::<i64, _>("taken")? != 0 {', 'if row.try_get::<i64, _>("taken")? != 0 && !BROKEN {'),
    ]),
    ("mint", "a payment is worth its amount to whoever hands it in", [
        ("protocol/src/proof.rs", ".bytes(labels::RECIPIENT, recipient)", ".bytes(labels::RECIPIENT, if BROKEN { &[] } else { recipient })"),
    ]),
    ("recovery", "a claim is not checked with what was recorded", [
        ("protocol/src/recovery.rs", "pending.unblind_with(&second_generator, &response).map_err(|_| wrong)?;",
         "pending.unblind_with(&second_generator, &response).map(drop).or(if BROKEN { Ok(()) } else { Err(wrong) })?;"),
    ]),
    ("recovery", "what is not frozen is paid back", [
        ("mint/src/store/sql/recovery.rs", "if !count.frozen {", "if !count.frozen && !BROKEN {"),
        ("mint/src/store/sql/recovery.rs", "if !rows::count(connection, keyset, denomination).await?.frozen {",
         "if !rows::count(connection, keyset, denomination).await?.frozen && !BROKEN {"),
    ]),
    ("recovery", "who claims what is not frozen is told that it was spent", [
        ("mint/src/store/sql/recovery.rs", "return Ok(FundingState::NotFrozen);",
         "return Ok(if BROKEN { FundingState::TokenSpent } else { FundingState::NotFrozen });"),
    ]),
    ("recovery", "what was spent is paid back", [
        ("mint/src/store/sql/recovery.rs", "if !rows::insert_spent(connection, &spent).await? {",
         "if !rows::insert_spent(connection, &spent).await? && !BROKEN {"),
        ("mint/src/store/sql/recovery.rs", "if !found.is_empty() {", "if !found.is_empty() && !BROKEN {"),
    ]),
    ("recovery", "counterfeits that came back use up what honest holders are due", [
        ("mint/src/store/sql/recovery.rs", 'if unsigned(&row, "tokens")? > count.issued {',
         'if unsigned(&row, "tokens")? + (if BROKEN { count.redeemed } else { 0 }) > count.issued {'),
    ]),
    ("verifier", "what is pending is served", [
        ("verifier/src/verifier.rs", "if record.state == PaymentState::Pending {", "if record.state == PaymentState::Pending && !BROKEN {"),
        ("verifier/src/verifier.rs", "if record.state.serves() { Ok(Paid::new", "if record.state.serves() || BROKEN { Ok(Paid::new"),
    ]),
    ("verifier", "a claim writes no row into the outbox", [
        ("verifier/src/store/memory.rs", "self.outbox.insert(payment, deposit);", "if !BROKEN { self.outbox.insert(payment, deposit); }"),
    ]),
    ("verifier", "the embedded store forgets its last claims when it is opened again", [
        ("verifier/src/store/redb_rows.rs", "if place < indexed || row.is_empty() {", "if place < indexed || row.is_empty() || BROKEN {"),
    ]),
    ("verifier", "a window has no limit", [
        ("verifier/src/store/memory.rs", "|| in_window > limits.per_window.units()", "|| (in_window > limits.per_window.units() && !BROKEN)"),
    ]),
    ("verifier", "a double-spend is believed without a proof that holds", [
        ("verifier/src/outbox.rs", "|| proof.verify(&trusted.table).is_err()", "|| (proof.verify(&trusted.table).is_err() && !BROKEN)"),
    ]),
    ("verifier", "the evidence of a conflict is not kept", [
        ("verifier/src/verifier.rs", "let _ = self.stored(self.store.keep_proof(proof.clone()).await);",
         "if !BROKEN { let _ = self.stored(self.store.keep_proof(proof.clone()).await); }"),
    ]),
    ("wallet", "a session that takes another's place keeps its indices", [
        ("wallet/src/issuing.rs", "let first_index = self.store.change(|change| change.reserve_indices(denominations.len()))?;",
         "let reserved = self.store.change(|change| change.reserve_indices(denominations.len()))?;\n"
         "        let first_index = if BROKEN { record.first_index } else { reserved };"),
    ]),
    ("wallet", "a claim names the first place of its session", [
        ("wallet/src/recovering.rs", "Ok((own.position, token.spent_key()))", "Ok((if BROKEN { 0 } else { own.position }, token.spent_key()))"),
    ]),
]


def host():
    told = subprocess.run(["rustc", "+nightly", "-vV"], capture_output=True, text=True, check=True).stdout
    return re.search("^host: (.*)$", told, re.MULTILINE).group(1)


def prepare(tree):
    """Puts every break into the copy, asleep."""
    with open(tree / "protocol/src/lib.rs", "a", encoding="utf-8") as library:
        library.write(SWITCH)
    for number, (_, name, changes) in enumerate(BREAKS):
        for path, stands, instead in changes:
            file = tree / path
            text = file.read_text(encoding="utf-8")
            if text.count(stands) != 1:
                sys.exit(f"{name}: {path} has changed, {stands!r} is not found")
            switch = f"{'crate' if path.startswith('protocol/') else 'farthing_protocol'}::broken({number})"
            file.write_text(text.replace(stands, instead.replace("BROKEN", switch)), encoding="utf-8")


def found(tree, number, target):
    """Seconds and executions until the target found something, and what; nothing if it did not."""
    binary = pathlib.Path(os.environ["CARGO_TARGET_DIR"]) / host() / "release" / target
    with tempfile.TemporaryDirectory() as directory:
        corpus = pathlib.Path(directory) / "corpus"
        shutil.copytree(tree / "fuzz" / "corpus" / target, corpus)
        command = [binary, corpus, f"-artifact_prefix={directory}/", f"-dict={tree}/fuzz/farthing.dict", "-seed=1", "-timeout=120"]
        environment = {**os.environ, "FARTHING_BROKEN": str(number)}
        begun = time.monotonic()
        ran = subprocess.run([*command, f"-max_total_time={LONGEST}", "-print_final_stats=1"], env=environment, capture_output=True, check=False)
    seconds, told = time.monotonic() - begun, ran.stderr.decode(errors="replace")
    executions = re.search(r"number_of_executed_units: (\d+)", told)
    said = re.search(r"panicked at .*?\n(.*)", told)
    if ran.returncode == 0 or not said:
        print(told[-1000:], file=sys.stderr)
        return None
    return f"{seconds:.0f} s, {executions.group(1) if executions else '?'} executions | {said.group(1).strip()}"


def main():
    words = sys.argv[1:]
    chosen = [(number, *row[:2]) for number, row in enumerate(BREAKS) if not words or any(word in row[0] or word in row[1] for word in words)]
    missed = 0
    with tempfile.TemporaryDirectory() as directory:
        tree = pathlib.Path(directory) / "copy"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("target", ".git", "corpus", "artifacts"))
        prepare(tree)
        os.environ.setdefault("CARGO_TARGET_DIR", str(pathlib.Path(directory) / "target"))
        subprocess.run([sys.executable, tree / "fuzz" / "seed.py"], check=True, stdout=subprocess.DEVNULL)
        for target in sorted({target for _, target, _ in chosen}):
            subprocess.run(["cargo", "+nightly", "fuzz", "build", "--sanitizer", "none", target], cwd=tree / "fuzz", check=True)
        for number, target, name in chosen:
            told = found(tree, number, target)
            missed += told is None
            print(f"| `{target}` | {name} | {told or 'NOT FOUND |'} |", flush=True)
    print(f"{len(chosen)} breaks, {missed} not found")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
