#!/usr/bin/env bash
# Boots a mint and a publisher in Python and in Node, each with the verifier in its own process over the C library, and pays, does not
# pay, pays twice, cheats and pulls plugs. Fails at the first difference. Everything runs on free ports of 127.0.0.1 in a directory that
# is taken away. Needs curl, python3, gcc, node and npm; as root it installs those that are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for tool in curl python3 gcc; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
if [ "${#missing[@]}" -gt 0 ]; then
    [ "$(id -u)" -eq 0 ] || { echo "missing: ${missing[*]}" >&2; exit 1; }
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >/dev/null
fi

cargo build -q -p farthing-mint -p farthing-wallet -p farthing-verifier -p farthing-ffi
source contrib/common.sh
export FARTHING_LIBRARY="$bin/libfarthing_verifier.so"

read -r mint_port python_port node_port tap_port < <(free_ports 4)

step="the header, as C and C++ read it"
printf '#include "farthing.h"\nint main(void) { return farthing_abi_version() == FARTHING_ABI_VERSION ? 0 : 1; }\n' >"$work/abi.c"
gcc -std=c11 -Wall -Wextra -Werror -pedantic -Iffi/include "$work/abi.c" -o "$work/abi" -L"$bin" -lfarthing_verifier -Wl,-rpath,"$bin"
"$work/abi"
gcc -x c++ -std=c++11 -Wall -Wextra -Werror -pedantic -fsyntax-only -Iffi/include "$work/abi.c"

step="installing what the Node example needs"
mkdir "$work/node"
cp contrib/node/* "$work/node/"
npm ci --prefix "$work/node" --ignore-scripts --no-audit --no-fund >"$work/npm.log" 2>&1

# --- the mint, with a voucher; its keys live for seconds and need no passphrase
step="setting up the mint"
export FARTHING_MINT_INSECURE_PLAIN_KEYS=true
mint="http://127.0.0.1:$mint_port"
key=$(mint_command init --data "$work/mint")
voucher=$(mint_command voucher create --amount 1.00 --data "$work/mint")
for language in python node; do
    port=${language}_port
    cat >"$work/$language.toml" <<TOML
listen = "unix:$work/nobody-listens.sock"
proxy = "nginx"
publisher = "127.0.0.1:${!port}"
mint = "$mint"
mint_key = "$key"
data = "$work/$language-data"
[pass]
price = "0.01"
title = "All articles"
scope = "/articles/"
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
TOML
    publisher_key=$("$bin/farthing-verifier" key --config "$work/$language.toml")
    mint_command publisher add "127.0.0.1:${!port}" --key="$publisher_key" --data "$work/mint"
done
start_mint() {
    start mint "$bin/farthing-mint" serve --data "$work/mint" --listen "127.0.0.1:$mint_port"
    until_ok curl -sf "$mint/readyz"
}
start_mint
start tap python3 contrib/tap.py "$tap_port" "$work/tap.json"
until_ok listens "$tap_port"

step="buying tokens"
wallet reader init --mint "$mint" --mint-key="$key" >/dev/null
wallet reader topup "$voucher" >/dev/null

start_site() { # LANGUAGE
    case $1 in
        python) start python env PYTHONDONTWRITEBYTECODE=1 python3 contrib/python/site.py "$work/python.toml" "$python_port" ;;
        node) start node node "$work/node/site.js" "$work/node.toml" "$node_port" ;;
    esac
    until_ok curl -sf "$site/"
}

for language in python node; do
    port=${language}_port
    site="http://127.0.0.1:${!port}"

    step="$language: free"
    start_site "$language"
    get -H "Authorization: Basic eA==" "$site/about"
    expect status 200 "$status"
    expect body "page /about free authorization=Basic eA==" "$body"
    expect headers "*cache-control: public, max-age=60*" "$head"

    step="$language: unpaid"
    get "$site/articles/one"
    expect status 402 "$status"
    expect headers "*www-authenticate: payment id=*" "$head"
    expect "one for the page, one for the pass" 2 "$(grep -c '^www-authenticate: payment ' <<<"$head")"
    expect headers "*cache-control: no-store*" "$head"
    expect headers "*content-type: application/problem+json*" "$head"
    expect body '*"code":"payment-required"*' "$body"
    get -H "Accept: text/html" "$site/articles/one"
    expect status 402 "$status"
    expect body "*0.005*EUR*" "${body^^}"
    get -X POST -d x=y "$site/articles/one"
    expect "a form is asked to pay as well" 402 "$status"
    for other in "/articles/one/" "/articles;x/one" "/articles/one;x"; do
        get "$site$other"
        expect "$other, which some servers read as the article" 402 "$status"
    done
    get "$site/articles/one%3f-preview"
    expect "a question mark in a path" '400 *"code":"path-ambiguous"*' "$status $body"
    get "$site/%61rticles/one"
    expect "an escaped letter" 402 "$status"
    get "$site//articles/one"
    expect "some servers read two slashes as one" "40[02]" "$status"
    for path in /x/../articles/one /x//articles/one /articles/./one /articles%2fone "/x/%2e%2e/articles/one"; do
        get "$site$path"
        expect "$path is not served" '400 *"code":"path-ambiguous"*' "$status $body"
    done
    get -H "Authorization: Payment abc" "$site/articles/one"
    expect "what cannot be read" '402 *"code":"malformed-credential"*' "$status $body"

    step="$language: paid"
    cp -r "$work/reader" "$work/$language-copy"
    buys reader --proxy "http://127.0.0.1:$tap_port" pay --yes "$site/articles/one" >"$work/paid.json"
    expect body "page /articles/one settled 500 reread=false authorization=*" "$(json "$work/paid.json" body)"
    expect "the credential stops before the page" "*authorization=" "$(json "$work/paid.json" body)"
    expect status 200 "$(json "$work/tap.json" status)"
    expect caching "*private*" "$(json "$work/tap.json" headers cache-control)"
    receipt=$(json "$work/tap.json" headers payment-receipt)
    reference=$(python3 -c 'import base64, json, sys
print(json.loads(base64.urlsafe_b64decode(sys.argv[1] + "=" * (-len(sys.argv[1]) % 4)))["reference"])' "$receipt")
    credential=$(json "$work/tap.json" authorization)
    printf 'Authorization: %s\n' "$credential" >"$work/credential"

    step="$language: replayed"
    get -H "@$work/credential" "$site/articles/one"
    expect "an interrupted delivery is finished" "200 page /articles/one settled 500 reread=false authorization=" "$status $body"
    expect headers "*payment-receipt: *" "$head"
    get -H "@$work/credential" "$site/about"
    expect "nothing is bought, and nothing passed on" "200 page /about free authorization=" "$status $body"
    get -H "@$work/credential" "$site/articles/two"
    expect "for another article" '402 *"code":"wrong-resource"*' "$status $body"
    get -X POST -H "@$work/credential" "$site/articles/one"
    expect "with another method" '402 *"code":"wrong-resource"*' "$status $body"
    if [ "$language" = node ]; then # WSGI makes one header of two.
        get -H "@$work/credential" -H "@$work/credential" "$site/articles/one"
        expect "twice in one request" '402 *"code":"malformed-credential"*' "$status $body"
    fi
    buys reader pay --yes "$site/articles/one" >"$work/again.json"
    expect "read again" "page /articles/one settled 500 reread=true authorization=" "$(json "$work/again.json" body)"
    buys reader pay --yes --amount 0.01234 "$site/tips?from=curl" >"$work/tip.json"
    expect "a tip" "page /tips settled 1234 reread=false authorization=" "$(json "$work/tip.json" body)"

    step="$language: double-spent"
    ! wallet "$language-copy" pay --yes "$site/articles/one" 2>"$work/cheat.json" || expect "a copied wallet" refused served
    expect code double-spend "$(json "$work/cheat.json" error peer 2>/dev/null || json "$work/cheat.json" error code)"
    "$bin/farthing-verifier" evidence verify "$work/cheat.json" --mint-key="$key" --mint "$mint" >/dev/null

    step="$language: the mint is down"
    stop mint
    get "$site/articles/two"
    expect "prices are told" 402 "$status"
    ! wallet reader pay --yes "$site/articles/two" >/dev/null 2>&1 || expect "an unsettled payment" refused served
    get -H "@$work/credential" "$site/articles/one"
    expect "paid before, served still" 200 "$status"
    step="$language: stopped and started with an undecided payment"
    stop "$language"
    start_site "$language"
    get -H "@$work/credential" "$site/articles/one"
    expect "what was paid is kept" 200 "$status"
    start_mint
    until_ok wallet reader pay --yes "$site/articles/two"
    stop "$language"
    stop mint
    balance=$(mint_command publisher balance "127.0.0.1:${!port}" --data "$work/mint" --json)
    expect "two articles and a tip, each once" '*"balance":"2234"*' "$balance"
    start_mint

    step="$language: eight at once, refunds, mistakes"
    case $language in
        python) PYTHONDONTWRITEBYTECODE=1 python3 contrib/python/test_farthing.py "$work/python.toml" "$reference" ;;
        node) node "$work/node/test_farthing.js" "$work/node.toml" "$reference" ;;
    esac
    start_site "$language"
    get -H "@$work/credential" "$site/articles/one"
    expect "given back, served no more" '402 *"code":"refused-refunded"*' "$status $body"
    stop "$language"

    step="$language: nothing secret in logs"
    for secret in "${credential:0:60}" "$receipt" /articles/; do
        ! grep -qF -- "$secret" "$work/$language.log" || expect "the site's log" silent "${secret:0:20}"
    done
    echo "$language: ok ($SECONDS s)"
done
