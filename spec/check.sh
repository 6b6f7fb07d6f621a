#!/bin/sh
# Checks the specification in both directions: Rust runs every vector of the Python reference, the reference verifies what Rust makes.
# Then the requirements, every rule with code and a test that exist, and the named attacks, each with its tests.
set -eu
cd "$(dirname "$0")/.."
made=$(mktemp)
trap 'rm -f "$made"' EXIT
python3 spec/reference/run.py --check
FARTHING_EMIT="$made" cargo test --quiet -p farthing-protocol --test vectors
python3 spec/reference/run.py --accept "$made"
python3 spec/requirements.py
python3 spec/attacks.py
