#!/usr/bin/env bash
# Boots nginx and Caddy with the configurations that stand here, a mint, a sidecar for each and a backend that says what it was told,
# and pays, does not pay, pays twice, cheats and pulls plugs. Fails at the first difference. Everything runs on free ports of 127.0.0.1
# in a directory that is taken away. Needs nginx, caddy, curl and python3; as root it installs those that are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for tool in nginx caddy curl python3; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if [ "${#missing[@]}" -gt 0 ]; then
    [ "$(id -u)" -eq 0 ] || { echo "missing: ${missing[*]}" >&2; exit 1; }
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >/dev/null
fi

cargo build -q -p farthing-mint -p farthing-wallet -p farthing-verifier --bins
source contrib/common.sh

read -r mint_port nginx_port caddy_port backend_port tap_port own_port asked_port metrics_port < <(free_ports 8)

# --- the mint, with a voucher, and both publishers; its keys live for seconds and need no passphrase
export FARTHING_MINT_INSECURE_PLAIN_KEYS=true
mint="http://127.0.0.1:$mint_port"
key=$(mint_command init --data "$work/mint")
for port in "$nginx_port" "$caddy_port"; do
    mint_command publisher add "127.0.0.1:$port" --data "$work/mint"
done
cat >"$work/own-verifier.toml" <<TOML
listen = "127.0.0.1:$asked_port"
trusted_peers = ["127.0.0.1"]
metrics = "127.0.0.1:$metrics_port"
peers_may_refund = true
proxy = "nginx"
publisher = "127.0.0.1:$own_port"
mint = "$mint"
mint_key = "$key"
data = "$work/own-data"
[pass]
price = "0.01"
title = "All articles"
scope = "/articles/"
[[rules]]
path = "/articles/*"
price = "0.005"
[[rules]]
path = "/**"
free = true
TOML
own_key=$("$bin/farthing-verifier" key --config "$work/own-verifier.toml")
mint_command publisher add "127.0.0.1:$own_port" --key="$own_key" --data "$work/mint"
voucher=$(mint_command voucher create --amount 1.00 --data "$work/mint")
start mint "$bin/farthing-mint" serve --data "$work/mint" --listen "127.0.0.1:$mint_port"
until_ok curl -sf "$mint/readyz"

# --- the sidecars
rules='
[[rules]]
path = "/articles/*-preview"
free = true
[[rules]]
path = "/articles/*"
price = "0.005"
title = "An article"
[[rules]]
path = "/tips"
tip = { minimum = "0.001", suggested = "0.02", maximum = "1.00" }
[[rules]]
path = "/**"
free = true
'
for proxy in nginx caddy; do
    port=${proxy}_port
    cat >"$work/$proxy-verifier.toml" <<TOML
listen = "unix:$work/$proxy.sock"
proxy = "$proxy"
publisher = "127.0.0.1:${!port}"
mint = "$mint"
mint_key = "$key"
data = "$work/$proxy-data"
$rules
TOML
    "$bin/farthing-verifier" config check --config "$work/$proxy-verifier.toml" >/dev/null
    start "$proxy-sidecar" "$bin/farthing-verifier" serve --config "$work/$proxy-verifier.toml"
done
step="the shipped configuration and a wrong one"
sed "s|^mint_key = .*|mint_key = \"$key\"|" contrib/verifier.toml >"$work/shipped.toml"
"$bin/farthing-verifier" config check --config "$work/shipped.toml" >/dev/null
sed 's|^path = "/\*\*"|path = "/other"|' "$work/nginx-verifier.toml" >"$work/wrong.toml"
! "$bin/farthing-verifier" config check --config "$work/wrong.toml" 2>/dev/null || expect "a rule for every path is asked for" yes no
for proxy in nginx caddy; do
    until_ok curl -sf --unix-socket "$work/$proxy.sock" http://sidecar/readyz
done

# --- the proxies: the shipped files with other places in them; the backend says what the proxy told it
step="starting the proxies"
sed "s|/etc/nginx/farthing-ask.conf|$work/farthing-ask.conf|; s|/run/farthing/verifier.sock|$work/nginx.sock|
    s|127.0.0.1:8080|127.0.0.1:$backend_port|; s|listen 80;|listen 127.0.0.1:$nginx_port;|" contrib/nginx/farthing.conf >"$work/farthing.conf"
cp contrib/nginx/farthing-ask.conf "$work/"
temporary=""
for kind in client_body proxy fastcgi uwsgi scgi; do temporary+="${kind}_temp_path $work/temp-$kind; "; done
cat >"$work/nginx.conf" <<CONF
$([ "$(id -u)" -ne 0 ] || echo 'user root;')
daemon off;
worker_processes 1;
pid $work/nginx.pid;
error_log $work/nginx-error.log;
events { }
http {
    $temporary
    include $work/farthing.conf;
    server {
        listen 127.0.0.1:$backend_port;
        access_log off;
        # As a backend behind CGI reads names.
        underscores_in_headers on;
        default_type text/plain;
        location / {
            add_header Cache-Control "public, max-age=60";
            add_header Seen "other=\$http_x_payment_other";
            return 200 "backend \$request_uri verified=\$http_x_payment_verified state=\$http_x_payment_state reread=\$http_x_payment_reread amount=\$http_x_payment_amount authorization=\$http_authorization\n";
        }
    }
}
CONF
start nginx nginx -e "$work/nginx-error.log" -c "$work/nginx.conf"
sed "s|^news.example {|http://127.0.0.1:$caddy_port {|; s|/run/farthing/verifier.sock|$work/caddy.sock|
    s|127.0.0.1:8080|127.0.0.1:$backend_port|" contrib/caddy/Caddyfile >"$work/Caddyfile"
start caddy env XDG_DATA_HOME="$work" XDG_CONFIG_HOME="$work" HOME="$work" caddy run --adapter caddyfile --config "$work/Caddyfile"
start tap python3 contrib/tap.py "$tap_port" "$work/tap.json"
until_ok listens "$tap_port"

step="over TCP: trusted peers only, in Envoy's and Traefik's words; the environment overrules the file"
read -r tcp_port < <(free_ports 1)
for asking in envoy traefik; do
    start tcp-sidecar env FARTHING_VERIFIER_LISTEN="127.0.0.1:$tcp_port" FARTHING_VERIFIER_PROXY="$asking" \
        FARTHING_VERIFIER_TRUSTED_PEERS="127.0.0.9,10.0.0.0/8" FARTHING_VERIFIER_DATA="$work/tcp-data" \
        FARTHING_VERIFIER_PUBLISHER=news.example "$bin/farthing-verifier" serve --config "$work/nginx-verifier.toml"
    sidecar="http://127.0.0.1:$tcp_port"
    until_ok curl -sf "$sidecar/readyz"
    ask() { # PATH CURL ARGUMENTS.. : in the words of the proxy
        local path=$1
        shift
        case $asking in
            envoy) get "$@" "$sidecar/v1/envoy$path" ;;
            traefik) get "$@" -H "X-Forwarded-Method: GET" -H "X-Forwarded-Proto: https" -H "X-Forwarded-Host: news.example" \
                -H "X-Forwarded-Uri: $path" "$sidecar/v1/auth" ;;
        esac
    }
    ask /articles/one
    expect "a stranger" '403 *"code":"peer-untrusted"*' "$status $body"
    ask /articles/one --interface 127.0.0.9
    expect "a trusted peer" '402 *"code":"payment-required"*' "$status $body"
    ask /articles/one-preview --interface 127.0.0.9
    expect "a free page" 200 "$status"
    expect "every trust header" "*x-payment-verified: false*" "$head"
    ask /articles/one-preview/../one --interface 127.0.0.9
    expect "another spelling" "[45]??" "$status"
    get --interface 127.0.0.9 "$sidecar/v1/auth"
    expect "no question at all" '400 *"code":"request-undescribed"*' "$status $body"
    stop tcp-sidecar
done

step="buying tokens"
wallet reader init --mint "$mint" --mint-key="$key" >/dev/null
wallet reader topup "$voucher" >/dev/null

step="a backend that asks by itself"
site="http://127.0.0.1:$own_port" asked="http://127.0.0.1:$asked_port"
start own-sidecar "$bin/farthing-verifier" serve --config "$work/own-verifier.toml"
start own-backend python3 contrib/backend.py "$own_port" "127.0.0.1:$asked_port"
until_ok curl -sf "$asked/readyz"
until_ok curl -sf "$site/"
buys reader pay --yes "$site/articles/one" >"$work/paid.json"
expect body "paid /articles/one 500 reread=False*" "$(json "$work/paid.json" body)"
wallet reader receipt show "$site/articles/one" >"$work/receipt.json"
registered=$(curl -s "$mint/v1/publishers/127.0.0.1:$own_port")
expect "the mint tells the publisher's key" "*\"key\":\"$own_key\"*" "$registered"
"$bin/farthing" receipt verify "$work/receipt.json" --key="$own_key" >/dev/null
! "$bin/farthing" receipt verify "$work/receipt.json" --key="$key" 2>/dev/null || expect "another key" refused accepted
step="a pass"
buys reader pay --yes --pass "$site/articles/two" >"$work/pass.json"
expect amount 1000 "$(json "$work/pass.json" amount)"
buys reader pay "$site/articles/three" >"$work/read.json"
expect "another page, nobody asked" "read-again paid /articles/three 1000 reread=True*" \
    "$(json "$work/read.json" kind) $(json "$work/read.json" body)"
step="what was settled and cannot be delivered"
release() { # QUESTION
    get "$asked/v1/release" -H 'Content-Type: application/json' -d "$1"
}
release "{\"reference\":\"$(json "$work/paid.json" payment)\"}"
expect "nothing changes" '200 *"state":"settled"*' "$status $body"
release "{\"reference\":\"$(json "$work/paid.json" payment)\",\"refund\":true}"
expect "given back" '200 *"amount":"500"*"state":"refunded"*' "$status $body"
release "{\"reference\":\"$(json "$work/paid.json" payment)\",\"refund\":true}"
expect "asked twice" '200 *"state":"refunded"*' "$status $body"
release '{"reference":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}'
expect "what nobody paid" '404 *"code":"payment-unknown"*' "$status $body"
numbers=$(curl -s "http://127.0.0.1:$metrics_port/metrics")
expect "numbers" '*farthing_verifier_events_total{event="claim"} 2*' "$numbers"
expect "numbers" '*farthing_verifier_events_total{event="refunded"} 1*' "$numbers"
stop own-backend
stop own-sidecar
echo "a backend by itself: ok ($SECONDS s)"

for proxy in nginx caddy; do
    port=${proxy}_port
    site="http://127.0.0.1:${!port}"
    until_ok curl -sf "$site/"

    step="$proxy: free"
    get "$site/articles/one-preview"
    expect status 200 "$status"
    expect body "backend /articles/one-preview verified=false state=none reread=false amount=0 authorization=" "$body"
    expect headers "*cache-control: public, max-age=60*" "$head"

    step="$proxy: spoofed trust headers"
    spoofed=(-H "X-Payment-Verified: true" -H "X-Payment-State: settled" -H "X-Payment-Amount: 500" -H "X-Payment-Reread: true")
    spoofed+=(-H "X_Payment_Verified: true" -H "X-Payment_Amount: 500" -H "X_Payment_Other: true")
    get "${spoofed[@]}" "$site/"
    expect "a name with underscores" "other=" "$(sed -n 's/^seen: //p' <<<"$head")"
    expect body "backend / verified=false state=none reread=false amount=0 authorization=" "$body"
    asked=(-H "X-Original-URI: /" -H "X-Original-Method: GET" -H "X-Forwarded-Uri: /" -H "X-Forwarded-Method: GET" -H "X-Forwarded-Host: evil.example")
    get "${spoofed[@]}" "${asked[@]}" "$site/articles/one"
    expect status 402 "$status"

    step="$proxy: other spellings"
    get "$site/%61rticles/one"
    expect "an escaped letter" 402 "$status"
    for path in /articles/one-preview/../one //articles/one /articles/./one "/x/..%2farticles/one" "/articles%2fone" "/x/%2e%2e/articles/one"; do
        get "$site$path"
        expect "$path is not served" "[45]??" "$status"
    done

    step="$proxy: unpaid"
    get "$site/articles/one"
    expect status 402 "$status"
    expect headers "*www-authenticate: payment id=*" "$head"
    expect headers "*cache-control: no-store*" "$head"
    expect headers "*content-type: application/problem+json*" "$head"
    expect body '*"code":"payment-required"*' "$body"
    get -H "Accept: text/html" "$site/articles/one"
    expect status 402 "$status"
    expect body "*0.005*EUR*" "${body^^}"
    get -X POST -d x=y "$site/articles/one"
    expect "a form is asked to pay as well" 402 "$status"
    get -H "Authorization: Payment abc" "$site/articles/one"
    expect "what cannot be read" '402 *"code":"malformed-credential"*' "$status $body"

    step="$proxy: paid"
    cp -r "$work/reader" "$work/$proxy-copy"
    buys reader --proxy "http://127.0.0.1:$tap_port" pay --yes "$site/articles/one" >"$work/paid.json"
    expect kind "@(paid|finished)" "$(json "$work/paid.json" kind | tr '[:upper:]' '[:lower:]')"
    expect body "backend /articles/one verified=true state=settled reread=false amount=500 authorization=*" "$(json "$work/paid.json" body)"
    expect "the credential stops at the proxy" "*authorization=" "$(json "$work/paid.json" body)"
    expect status 200 "$(json "$work/tap.json" status)"
    receipt=$(json "$work/tap.json" headers payment-receipt)
    expect caching private "$(json "$work/tap.json" headers cache-control)"
    credential=$(json "$work/tap.json" authorization)
    printf 'Authorization: %s\n' "$credential" >"$work/credential"

    step="$proxy: replayed"
    get -H "@$work/credential" "$site/articles/one"
    expect "an interrupted delivery is finished" 200 "$status"
    expect headers "*payment-receipt: *" "$head"
    get -H "@$work/credential" "$site/articles/two"
    expect "for another article" '402 *"code":"wrong-resource"*' "$status $body"
    get -X POST -H "@$work/credential" "$site/articles/one"
    expect "with another method" '402 *"code":"wrong-resource"*' "$status $body"
    get -H "@$work/credential" -H "@$work/credential" "$site/articles/one"
    expect "twice in one request" "[45]??" "$status"

    step="$proxy: read again"
    buys reader pay --yes "$site/articles/one" >"$work/again.json"
    expect body "backend /articles/one verified=true state=settled reread=true amount=500 authorization=*" "$(json "$work/again.json" body)"
    step="$proxy: a tip"
    buys reader pay --yes --amount 0.01234 "$site/tips?from=curl" >"$work/tip.json"
    expect body "backend /tips?from=curl verified=true state=settled reread=false amount=1234 *" "$(json "$work/tip.json" body)"

    step="$proxy: double-spent"
    ! wallet "$proxy-copy" pay --yes "$site/articles/one" 2>"$work/cheat.json" || expect "a copied wallet" refused served
    expect code double-spend "$(json "$work/cheat.json" error peer 2>/dev/null || json "$work/cheat.json" error code)"
    "$bin/farthing-verifier" evidence verify "$work/cheat.json" --mint-key="$key" --mint "$mint" >/dev/null
    curl -s "$mint/v1/keysets" -o "$work/keysets.json"
    "$bin/farthing-verifier" evidence verify "$work/cheat.json" --mint-key="$key" --keysets "$work/keysets.json" >/dev/null
    python3 - "$work/cheat.json" "$work/forged" <<'PYTHON'
import base64, json, sys
proof = json.load(open(sys.argv[1]))["error"]["proof"]
frame = bytearray(base64.urlsafe_b64decode(proof + "=" * (-len(proof) % 4)))
frame[-1] ^= 1
open(sys.argv[2], "wb").write(frame)
PYTHON
    ! "$bin/farthing-verifier" evidence verify "$work/forged" --mint-key="$key" --keysets "$work/keysets.json" 2>/dev/null ||
        expect "a forged proof" refused accepted

    step="$proxy: the sidecar is down"
    stop "$proxy-sidecar"
    get "$site/articles/two"
    expect unpaid "50[23]" "$status"
    get -H "@$work/credential" "$site/articles/one"
    expect paid "50[23]" "$status"
    get "${spoofed[@]}" "$site/"
    expect free "50[23]" "$status"
    step="$proxy: the sidecar is back"
    start "$proxy-sidecar" "$bin/farthing-verifier" serve --config "$work/$proxy-verifier.toml"
    until_ok curl -sf --unix-socket "$work/$proxy.sock" http://sidecar/readyz
    get -H "@$work/credential" "$site/articles/one"
    expect "paid before, served still" "200 backend /articles/one verified=true*" "$status $body"

    step="$proxy: the mint is down"
    stop mint
    get "$site/articles/two"
    expect "prices are told" 402 "$status"
    ! wallet reader pay --yes "$site/articles/two" >/dev/null 2>&1 || expect "an unsettled payment" refused served
    start mint "$bin/farthing-mint" serve --data "$work/mint" --listen "127.0.0.1:$mint_port"
    until_ok curl -sf "$mint/readyz"
    step="$proxy: the mint is back"
    until_ok wallet reader pay --yes "$site/articles/two"
    stop mint
    balance=$(mint_command publisher balance "127.0.0.1:${!port}" --data "$work/mint" --json)
    expect "two articles and a tip, each once" '*"balance":"2234"*' "$balance"
    start mint "$bin/farthing-mint" serve --data "$work/mint" --listen "127.0.0.1:$mint_port"
    until_ok curl -sf "$mint/readyz"

    step="$proxy: nothing secret in logs"
    for secret in "${credential:0:60}" "$receipt" /articles/ reader; do
        ! grep -qF -- "$secret" "$work/$proxy-sidecar.log" || expect "the sidecar's log" silent "${secret:0:20}"
    done
    echo "$proxy: ok ($SECONDS s)"
done
