#!/usr/bin/env bash
# Runs every target for SECONDS (default 20); fails on the first finding.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-20}
unset RUSTFLAGS
python3 seed.py
for target in $(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' Cargo.toml); do
    printf -- '--- %s\n' "$target"
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 2>&1 | tail -n 12
done
