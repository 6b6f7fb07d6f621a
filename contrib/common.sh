# Sourced by the tests here: builds nothing, starts and stops processes, asks and compares. Whoever sources it sets `step` as it goes.
# Everything is kept in $work, which is taken away at the end; on a failure the step and the ends of the logs are told.

bin=${CARGO_TARGET_DIR:-target}/debug
bin=$(cd "$bin" && pwd)

work=$(mktemp -d)
declare -A pids=()
stop() { # NAME
    local pid=${pids[$1]:-}
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        unset "pids[$1]"
    fi
}
finish() {
    local status=$?
    for name in "${!pids[@]}"; do stop "$name"; done
    if [ "$status" -ne 0 ]; then
        echo "FAILED: $step" >&2
        for log in "$work"/*.log; do
            printf -- '--- %s\n' "${log##*/}" >&2
            tail -n 15 "$log" >&2
        done
    fi
    rm -rf "$work"
    exit "$status"
}
step="setting up"
trap finish EXIT
trap 'exit 1' INT TERM

start() { # NAME COMMAND..
    local name=$1
    shift
    "$@" >>"$work/$name.log" 2>&1 &
    pids[$name]=$!
}
until_ok() { # COMMAND.. : at most five minutes: a disk that others use too may stand still for two
    local end=$((SECONDS + 300))
    while [ "$SECONDS" -lt "$end" ]; do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    echo "not within five minutes: $*" >&2
    # What it said at last; a health check's body says why, which -f keeps back.
    [ "$1" != curl ] || curl -s -m 10 "${@: -1}" >&2 || true
    df -h "$work" >&2
    return 1
}
listens() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
expect() { # WHAT EXPECTED FOUND
    if [[ "$3" != $2 ]]; then
        printf '%s: %s\n  expected %s\n  found    %s\n' "$step" "$1" "$2" "$3" >&2
        exit 1
    fi
}
get() { # CURL ARGUMENTS.. : $status, $head (lower case), $body
    status=$(curl -s --max-time 120 -o "$work/body" -D "$work/head" -w '%{http_code}' --path-as-is "$@") || true
    head=$(tr -d '\r' <"$work/head" | tr '[:upper:]' '[:lower:]')
    body=$(cat "$work/body")
}

mint_command() { # ARGUMENTS.. : a command of the mint, given again if the ledger was too slow for it
    for _ in $(seq 20); do
        # What was begun is not begun again beside it.
        [ "$1" != init ] || rm -rf "$work/mint"
        if "$bin/farthing-mint" "$@" 2>"$work/mint-command.log"; then return; fi
        grep -q 'the ledger does not answer' "$work/mint-command.log" || return 1
    done
    return 1
}
json() { python3 -c 'import json, sys; v = json.load(open(sys.argv[1]))
for k in sys.argv[2:]: v = v[k]
print(v)' "$@"; }
wallet() { # DIRECTORY ARGUMENTS..
    local directory=$1
    shift
    "$bin/farthing" --wallet "$work/$directory" --json "$@"
}

buys() { # DIRECTORY ARGUMENTS.. : a wallet's payment, given again as it says if the publisher was too slow to decide
    for _ in $(seq 20); do
        if wallet "$@" 2>"$work/said"; then return; fi
        grep -q '"code":"publisher-busy"' "$work/said" || break
        sleep 1
    done
    cat "$work/said" >&2
    return 1
}

free_ports() { # COUNT : that many ports of 127.0.0.1 that nobody listens on, and that no connection takes by itself before somebody does:
    # they are below those that the system gives away
    python3 -c '
import random, socket, sys
sockets = []
while len(sockets) < int(sys.argv[1]):
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", random.randrange(10000, 32768)))
        sockets.append(one)
    except OSError: pass
print(*(one.getsockname()[1] for one in sockets))' "$1"
}
