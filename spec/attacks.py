#!/usr/bin/env python3
"""Checks spec/attacks.md: every named attack has a row, its tests exist and say whose they are, and every test that says so is there.

    | attack | `path::test`, .. | rules | `path::test`, `model/src/broken.rs::Variant`, `spec/left_out.py`, .. |
"""

import re
import sys

sys.dont_write_bytecode = True

from left_out import LEFT_OUT, changes
from requirements import ROOT, references, test_exists, text_of

NAMES = """
forged token on a fast path · replay while the replay store is down or overflowed · refused-then-replayed payment served ·
two parallel replays in settle-first · publisher refuses, reader spends elsewhere, publisher deposits after all ·
forgotten refresh, second refresh · slow commit against retried session · refund then re-deposit · restore then pay ·
clock forward and back · prune against deposit in flight · cloned mint · shared batch weight · shared e · opaque evidence ·
copied keyset of another mint · one keyset per reader · identity key · duplicate token in a payment or across keysets ·
non-canonical points and scalars · gigabyte length prefix · empty batch · relayed challenge of another site ·
spoofed trust header · restored backup · lost response after booking · tokens, URLs or addresses in logs
"""
ROW = re.compile(r"^\| (.+?) \| (`.+?) \| (R-.+?) \| (.+?) \|$", re.M)
MARK = re.compile(r"/// Named attack: (.+)\.\n(?:[ \t]*(?:///|#\[).*\n)*[ \t]*(?:async )?fn (\w+)")
BROKEN = "model/src/broken.rs::"


def marks():
    """(attack, `path::test`) of every test that says whose it is."""
    found = set()
    for crate in ("protocol", "verifier", "mint", "wallet", "model"):
        for path in (ROOT / crate).rglob("*.rs"):
            name = path.relative_to(ROOT).as_posix()
            found |= {(attack, f"{name}::{test}") for attack, test in MARK.findall(path.read_text(encoding="utf-8"))}
    return found


def main():
    errors, listed = [], set()
    names = [" ".join(name.split()) for name in NAMES.split("·")]
    rows = ROW.findall(text_of("spec/attacks.md"))
    if sorted(row[0] for row in rows) != sorted(names):
        errors.append(f"the rows are not the named attacks: {sorted(set(names) ^ {row[0] for row in rows})}")
    rules = text_of("spec/requirements.md")
    scenes = text_of("model/src/scenes.rs")
    for attack, tests, ids, left_out in rows:
        listed |= {(attack, test) for test in references(tests)}
        errors += [f"{attack}: no test {test}" for test in references(tests) if not test_exists(test)]
        errors += [f"{attack}: no rule {id_}" for id_ in ids.split(", ") if f"| {id_} |" not in rules]
        for broken in references(left_out):
            if broken.startswith(BROKEN):
                exists = f"Broken::{broken.removeprefix(BROKEN)}," in scenes
            elif broken == "spec/left_out.py":
                # The defence still stands where the script takes it out, and the tests are those of the row.
                own = [row for row in LEFT_OUT if row[0] == attack]
                stands = all(text_of(row[1]).count(stands) == 1 for row in own for stands, _ in changes(row))
                exists = own and stands and all(f"::{test}`" in tests for row in own for test in row[5])
            else:
                exists = test_exists(broken)
            if not exists:
                errors.append(f"{attack}: {broken} shows nothing")
        if not references(left_out):
            errors.append(f"{attack}: nothing shows that it succeeds without its defence")
    said = marks()
    errors += [f"{attack}: {test} does not say that it is about that" for attack, test in sorted(listed - said)]
    errors += [f"{test} says that it is about '{attack}', the page does not" for attack, test in sorted(said - listed)]
    for error in errors:
        print(error)
    print(f"{len(rows)} named attacks, {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
