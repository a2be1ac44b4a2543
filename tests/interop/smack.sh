#!/usr/bin/env bash
# Runs integration tests of Smack against a fresh stanzad.
#
#     tests/interop/smack.sh [--install]           Smack's own, from Maven Central
#     tests/interop/smack.sh [--install] --server  those of smack-sint-server-extensions, compiled from its repository
#
# --install installs a JDK and Maven as Debian packages if they are missing; everything else is kept under target/smack.
# The sources for --server are fetched from GitHub, or from the repositories that SMACK_GIT and SMACK_EXTENSIONS_GIT name.
# SINTTEST may hold more options for Java: -Dsinttest.enabledTests=CLASS, -Dsinttest.debugger=console.
# The accounts are made by ad-hoc commands of an administrator, the login is without TLS, on a loopback address of the run's own.
# The last line is `N run, N passed, N failed, N argued, N not possible`; what may fail is argued in docs/conformance.md.
# Builds nothing of stanzad: the binaries are those of `cargo build`.
set -eu
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/tests/interop/smack
kept=$root/target/smack
bin=${STANZAD_BIN:-$root/target/debug}

framework=c5147b0f48e7d2687281e6055382ff2bf4151c5c # 4.5.0-beta9
extensions=06b2dddcad8a42b91ddcaca9d82f44bdb377dfe7 # 1.7.2
copy=org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies

install=no which=own
for option in "$@"; do
    case $option in
        --install) install=yes ;;
        --server) which=server ;;
        *) echo "usage: tests/interop/smack.sh [--install] [--server]" >&2; exit 2 ;;
    esac
done

have() { command -v "$1" >/dev/null 2>&1; }

needs() {
    have javac && have mvn && return
    if [ "$install" = yes ] && have apt-get && [ "$(id -u)" = 0 ]; then
        apt-get update -qq </dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jdk-headless maven </dev/null
    fi
    have javac && have mvn || { echo "smack.sh: no JDK or no Maven; --install brings them" >&2; exit 1; }
}

# libraries POM FOLDER: what a pom names, with what that needs.
libraries() {
    [ -e "$2/complete" ] && [ "$2/complete" -nt "$1" ] && return
    rm -rf "$2"
    mvn -B -q -Dstyle.color=never -f "$1" -Dmaven.repo.local="$kept/repository" "$copy" -DoutputDirectory="$2" </dev/null
    touch "$2/complete"
}

# source URL COMMIT FOLDER PATH...: these paths of a commit.
source_of() {
    local url=$1 commit=$2 folder=$3; shift 3
    [ -e "$folder/$commit" ] && return
    rm -rf "$folder"
    git init -q --bare "$folder.git"
    git -C "$folder.git" fetch -q --depth 1 "$url" "$commit"
    mkdir -p "$folder"
    git -C "$folder.git" archive "$commit" "$@" | tar x -C "$folder"
    rm -rf "$folder.git"
    touch "$folder/$commit"
}

# compile FOLDER CLASSPATH FILE...
compile() {
    local folder=$1 classpath=$2; shift 2
    mkdir -p "$folder"
    javac -nowarn -proc:none -Xlint:none -cp "$classpath" -d "$folder" "$@" 2>"$folder.log" || { cat "$folder.log" >&2; exit 1; }
}

prepare_own() {
    libraries "$here/pom.xml" "$kept/own/lib"
    classpath=$kept/own/lib/*
}

prepare_server() {
    local built=$kept/server/classes suite=$kept/server/suite smack=$kept/server/smack
    local tests=$suite/src/main/java/org
    libraries "$here/server.xml" "$kept/server/lib"
    classpath=$built:$kept/server/lib/*
    source_of "${SMACK_GIT:-https://github.com/igniterealtime/Smack}" "$framework" "$smack" \
        smack-integration-test/src/main smack-websocket/src/main smack-websocket-java11/src/main smack-websocket-okhttp/src/main \
        smack-resolver-minidns/src/main smack-resolver-dnsjava/src/main
    source_of "${SMACK_EXTENSIONS_GIT:-https://github.com/XMPP-Interop-Testing/smack-sint-server-extensions}" "$extensions" "$suite" src/main
    [ -e "$built/complete" ] && return
    # Of Smack the framework alone: its tests run without --server.
    find "$smack" -name '*.java' ! -path '*/smack-integration-test/src/main/java/org/jivesoftware/*' ! -name package-info.java >"$kept/server/files"
    find "$tests/igniterealtime" "$tests/jivesoftware/smack" -name '*.java' ! -name package-info.java \
        \( -path '*/rfc6121/*' -o -path '*/xep0030/*' -o -path '*/xep0054/*' -o -path '*/xep0133/*' -o -path '*/xep0198/*' \
        -o -path '*/xep0199/*' -o -path '*/util/*' -o -path '*/subscription/*' -o -name 'ResourceBinding*' \) >>"$kept/server/files"
    compile "$built" "$kept/server/lib/*" "@$kept/server/files"
    touch "$built/complete"
}

# A stanzad of its own on an address that nobody else has.
start() {
    local address try
    for try in 1 2 3 4 5; do
        address=127.$((RANDOM % 200 + 20)).$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1))
        cat >"$scratch/stanzad.conf" <<CONF
admins = ( "admin@localhost" )
xmpp {}
xmpp_listener {
  AuthPlainParameters = [ uri = "store:" ]
  tls = "offered"
  max_unauthenticated_per_address = 1000
  Listen "$address:5222" {}
}
control_listener { Listen "stanzad.sock" {} }
Domain "localhost" { XMPP_Role = "server" }
scriptlet "scriptlet" {
  script "dialplan" { source = "dialplan" }
  script "xmpp-presence" { source = "msys.xmpp.presence" }
}
CONF
        : >"$kept/stanzad.log" # before, not while, the daemon starts: the one of the last run says ready, too
        "$bin/stanzad" -c "$scratch/stanzad.conf" --data "$scratch/data" --scripts "$root/scripts" >"$kept/stanzad.log" 2>&1 &
        daemon=$!
        while kill -0 "$daemon" 2>/dev/null; do
            if grep -q '^ready' "$kept/stanzad.log"; then host=$address; return; fi
            sleep 0.05
        done
    done
    cat "$kept/stanzad.log" >&2
    exit 1
}

mkdir -p "$kept"
needs
"prepare_$which"
run=$kept/run-$which
rm -rf "$run"
compile "$run" "$classpath" "$here/Run.java"

scratch=$(mktemp -d) daemon=
finish() {
    [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null || true; }
    rm -rf "$scratch"
}
trap finish EXIT
start
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s\n' "$password" | "$bin/stanzactl" --socket "$scratch/data/stanzad.sock" user add admin@localhost --password-stdin >/dev/null

# Java looks for this file in its working directory.
cat >"$scratch/properties" <<PROPERTIES
service=localhost
host=$host
securityMode=disabled
dnsResolver=javax
adminAccountUsername=admin
adminAccountPassword=$password
replyTimeout=20000
enabledConnections=tcp,modular,modular-nocompress
PROPERTIES
options=(-Xmx512m)
classes=$here/classes
if [ "$which" = server ]; then
    classes=$here/classes.server
    # Smack announces its capabilities by presence of its own, in between the tests' and with another priority.
    options+=(-Dsmack.disabledClasses=org.jivesoftware.smackx.caps.EntityCapsManager)
fi
# shellcheck disable=SC2206 # many options in one variable
options+=(${SINTTEST-})
cd "$scratch"
java "${options[@]}" -cp "$run:$classpath" Run "$classes" "$root/docs/conformance.md" 2>"$kept/smack-$which.log" || {
    code=$?
    echo "what Smack has logged: $kept/smack-$which.log" >&2
    exit "$code"
}
