#!/usr/bin/env bash
# Plays scripted conversations against a fresh stanzad.
#
#     tests/interop/conformance.sh [FOLDER [OPTION...]]
#
# FOLDER holds .scs files (default: the repository's own); each case gets accounts of its own through `stanzactl user add`.
# OPTIONs go to the runner, see tests/interop/conformance/README.md. STARTTLS is offered, not required, and registration is open
# without a limit. The last line is the runner's: `N passed, M failed, K skipped`. Builds nothing: the binaries are those of `cargo build`.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(cd "${1:-$root/tests/interop/conformance/cases}" && pwd)
shift || true
bin=${STANZAD_BIN:-$root/target/debug}

scratch=$(mktemp -d)
daemon=
finish() {
    [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null || true; }
    rm -rf "$scratch"
}
trap finish EXIT

port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$scratch/stanzad.conf" <<CONF
xmpp {}
Registration = "open"
xmpp_listener {
  registrations_per_hour = 0
  AuthPlainParameters = [ uri = "store:" ]
  tls = "offered"
  max_unauthenticated_per_address = 1000
  Listen "127.0.0.1:$port" {}
}
control_listener { Listen "stanzad.sock" {} }
component "bridge.localhost" { secret = "hush" }
Domain "localhost" { XMPP_Role = "server" }
scriptlet "scriptlet" {
  script "dialplan" { source = "dialplan" }
  script "xmpp-presence" { source = "msys.xmpp.presence" }
}
CONF
cat >"$scratch/make-account" <<'MAKE'
#!/bin/sh
printf '%s\n' "$3" | "$STANZACTL" user add "$1@$2" --password-stdin >/dev/null
MAKE
chmod +x "$scratch/make-account"
export STANZACTL=$bin/stanzactl STANZAD_SOCKET=$scratch/data/stanzad.sock

"$bin/stanzad" -c "$scratch/stanzad.conf" --data "$scratch/data" --scripts "$root/scripts" >"$scratch/log" 2>&1 &
daemon=$!
until grep -q '^ready' "$scratch/log"; do
    kill -0 "$daemon" 2>/dev/null || { cat "$scratch/log" >&2; exit 1; }
    sleep 0.05
done
python3 "$root/tests/interop/conformance/scs.py" "$folder" --port "$port" --component-port "$port" \
    --create-cmd "$scratch/make-account {user} {domain} {password}" --jobs 4 "$@"
