#!/usr/bin/env bash
# Tries verifier and wallet with two implementations of the Payment scheme that are not ours: the npm package mppx and the PyPI package
# pympp, at the versions pinned in interop/. They read our 402 and our receipt, write the credential, write a challenge under our secret,
# and pay with our wallet as the method of their own clients. Fails at the first difference. Everything runs on free ports of 127.0.0.1
# in a directory that is taken away; a directory given in FARTHING_INTEROP_CACHE keeps what was installed. Needs node 20 and python3.11.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build -q -p farthing-mint -p farthing-wallet -p farthing-verifier --bins
bin=$(cd "${CARGO_TARGET_DIR:-target}/debug" && pwd)

work=$(mktemp -d)
cache=${FARTHING_INTEROP_CACHE:-$work}
pids=() # the mint is the first
finish() {
    local status=$?
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    [ "$status" -eq 0 ] || tail -n 15 "$work"/*.log >&2
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM
until_ok() { # COMMAND.. : at most two minutes, which is more than any machine needs
    local end=$((SECONDS + 120))
    while [ "$SECONDS" -lt "$end" ]; do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "not within two minutes: $*" >&2
    return 1
}

# --- what is not ours, without running what packages want run while they are installed
mkdir -p "$cache"
cp contrib/interop/package.json contrib/interop/package-lock.json contrib/interop/mppx.mjs "$cache/"
(cd "$cache" && npm ci --silent --ignore-scripts --no-audit --no-fund --legacy-peer-deps) >"$work/npm.log" 2>&1
[ -x "$cache/python/bin/python" ] || python3 -m venv "$cache/python"
"$cache/python/bin/pip" install -q --disable-pip-version-check --only-binary :all: --no-deps -r contrib/interop/requirements.txt >"$work/pip.log" 2>&1

# --- a mint, a sidecar, and a backend that asks it
read -r mint_port sidecar_port backend_port < <(python3 -c '
import random, socket
sockets = []
while len(sockets) < 3: # below the ports that the system gives to connections
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", random.randrange(10000, 32768)))
        sockets.append(one)
    except OSError: pass
print(*(one.getsockname()[1] for one in sockets))')
export FARTHING_MINT_INSECURE_PLAIN_KEYS=true
mint="http://127.0.0.1:$mint_port" site="http://127.0.0.1:$backend_port"
key=$("$bin/farthing-mint" init --data "$work/mint" 2>>"$work/mint.log")
"$bin/farthing-mint" publisher add "127.0.0.1:$backend_port" --data "$work/mint" 2>>"$work/mint.log"
voucher=$("$bin/farthing-mint" voucher create --amount 0.50 --data "$work/mint" 2>>"$work/mint.log")
"$bin/farthing-mint" serve --data "$work/mint" --listen "127.0.0.1:$mint_port" >>"$work/mint.log" 2>&1 &
pids+=($!)
cat >"$work/verifier.toml" <<TOML
listen = "127.0.0.1:$sidecar_port"
trusted_peers = ["127.0.0.1"]
proxy = "nginx"
publisher = "127.0.0.1:$backend_port"
mint = "$mint"
mint_key = "$key"
data = "$work/data"
[[rules]]
path = "/articles/*"
price = "0.005"
title = 'Zürich “für alle” – 1 € \ "x"'
[[rules]]
path = "/**"
free = true
TOML
until_ok curl -sf "$mint/readyz"
"$bin/farthing-verifier" serve --config "$work/verifier.toml" >>"$work/sidecar.log" 2>&1 &
pids+=($!)
until_ok curl -sf "http://127.0.0.1:$sidecar_port/readyz"
python3 contrib/backend.py "$backend_port" "127.0.0.1:$sidecar_port" >>"$work/backend.log" 2>&1 &
pids+=($!)
until_ok curl -sf "$site/"

wallet() { "$bin/farthing" --wallet "$work/reader" "$@" >/dev/null; }
wallet init --mint "$mint" --mint-key="$key"
wallet topup "$voucher"
secret=$(cat "$work/data/challenge-secret")

node "$cache/mppx.mjs" "$site" "$secret" "$bin/farthing" "$work/reader"
"$cache/python/bin/python" contrib/interop/pympp.py "$site" "$secret" "$bin/farthing" "$work/reader"

# --- two pages sold to each, one of them twice because two challenges were answered for it
kill "${pids[0]}"
wait "${pids[0]}" 2>/dev/null || true
balance=$("$bin/farthing-mint" publisher balance "127.0.0.1:$backend_port" --data "$work/mint" --json 2>>"$work/mint.log")
[[ "$balance" == *'"balance":"3000"'* ]] || { echo "six payments of 500 units, found $balance" >&2; exit 1; }
echo "interop: ok ($SECONDS s)"
