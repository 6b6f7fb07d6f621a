#!/usr/bin/env bash
# Builds every target and runs each for SECONDS (default 20), as many at a time as there are processors; fails on any finding.
set -euo pipefail
cd "$(dirname "$0")"
export SECONDS_EACH=${1:-20}
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS

python3 seed.py
# No sanitizer: there is no unsafe code of ours to watch, and without one everything runs at twice the speed.
cargo +nightly fuzz build --sanitizer none
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
export BINARIES=${CARGO_TARGET_DIR:-target}/$host/release

run() {
    local target=$1 status=0
    mkdir -p "artifacts/$target"
    "$BINARIES/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -dict=farthing.dict -max_total_time="$SECONDS_EACH" \
        -timeout=120 -rss_limit_mb=2048 -print_final_stats=1 >"artifacts/$target.log" 2>&1 || status=$?
    printf -- '--- %s: exit %s\n' "$target" "$status"
    tail -n "$([ "$status" -eq 0 ] && echo 7 || echo 40)" "artifacts/$target.log"
    return "$status"
}
export -f run
# xargs exits with 123 if any of them failed.
sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' Cargo.toml | xargs -P "$(nproc)" -I{} bash -c 'run {}'
