#!/usr/bin/env bash
# Runs the commands of docs/operator.md, in their order, with the real binaries: every block that begins with ```sh and nothing else.
# Fixed paths and ports are replaced by a scratch directory and free ports of 127.0.0.1. Fails at the first command that fails. What a
# proxy reads is checked where the proxy is installed; what Prometheus reads is compared with what the mint shows.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in curl openssl python3; do
    command -v "$tool" >/dev/null || { echo "missing: $tool" >&2; exit 1; }
done
cargo build -q -p farthing-mint -p farthing-wallet --bins
source contrib/common.sh

block() { # KIND : the text of all blocks of that kind
    awk -v open="\`\`\`$1" '$0 == open { on = 1; next } /^```/ { on = 0 } on' docs/operator.md
}
read -r public_port shop_port admin_port metrics_port tls_port < <(free_ports 5)
moved() {
    sed -e "s|/var/lib/farthing-mint|$work/data|g; s|/etc/farthing|$work/etc|g; s|/var/backups/farthing|$work/backups|g" \
        -e "s|/media/offline|$work/offline|g; s|/etc/letsencrypt/live/mint.example|$work/tls|g" \
        -e "s|127.0.0.1:8787|127.0.0.1:$public_port|g; s|127.0.0.1:8790|127.0.0.1:$shop_port|g" \
        -e "s|127.0.0.1:8789|127.0.0.1:$admin_port|g; s|127.0.0.1:9787|127.0.0.1:$metrics_port|g"
}
mkdir -m 0700 "$work"/{data,etc,backups,offline,tls}
moved <contrib/mint.toml >"$work/etc/mint.toml"

step="the commands"
{
    echo 'PS4='\''$SECONDS + '\'' ; set -xeuo pipefail'
    # Whatever ends the script ends the mint.
    echo 'trap '\''[ -z "${mint:-}" ] || kill "$mint" 2>/dev/null || true'\'' EXIT'
    # The numbers of the alerts are asked for while the mint still serves.
    block sh | moved | sed "/metrics | grep /a curl -sf http://127.0.0.1:$metrics_port/metrics > $work/metrics"
} >"$work/commands.sh"
[ "$(grep -c farthing-mint "$work/commands.sh")" -ge 30 ] || expect "commands in docs/operator.md" "30 or more" fewer
env -i PATH="$bin:$PATH" HOME="$work" TMPDIR="$work" timeout 1800 bash "$work/commands.sh" >"$work/commands.log" 2>&1

step="nothing secret in the log"
for secret in "$(head -n 1 "$work/etc/admin-tokens")" "$(cat "$work/etc/shop-secrets")" fv cs_live_1 DE8937; do
    ! grep -qF -- "$secret" "$work/etc/serve.log" || expect "the mint's log" silent "${secret:0:8}"
done

step="the alert rules"
names=$(block "yaml rules" | grep -o 'farthing_mint_[a-z_]*' | sort -u)
[ "$(wc -w <<<"$names")" -ge 8 ] || expect "metrics in the rules" "8 or more" "$names"
for name in $names; do
    grep -q "^# TYPE $name " "$work/metrics" || expect "a metric of the rules" "in /metrics" "no $name"
done

step="nginx"
if command -v nginx >/dev/null; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=mint.example \
        -keyout "$work/tls/privkey.pem" -out "$work/tls/fullchain.pem" 2>/dev/null
    block nginx | moved | sed "s|listen 443|listen 127.0.0.1:$tls_port|" >"$work/mint.conf"
    printf 'pid %s/nginx.pid; error_log stderr; events {} http { access_log off; include %s/mint.conf; }\n' "$work" "$work" >"$work/nginx.conf"
    nginx -t -q -c "$work/nginx.conf" >"$work/nginx.log" 2>&1
fi
step="Caddy"
if command -v caddy >/dev/null; then
    block caddy | moved >"$work/Caddyfile"
    HOME=$work XDG_DATA_HOME=$work XDG_CONFIG_HOME=$work caddy validate --adapter caddyfile --config "$work/Caddyfile" >"$work/caddy.log" 2>&1
fi
echo "docs/operator.md: ok ($SECONDS s)"
