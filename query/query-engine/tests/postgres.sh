#!/usr/bin/env bash
# Records anew what PostgreSQL answers to the statements of it/postgres.txt and it/parameters.txt, from a server that lives as long as this script.
# Needs the server's programs (Debian: postgresql-15); as root they run as user postgres.
set -euo pipefail
cd "$(dirname "$0")/../../.."

programs=$(ls -d /usr/lib/postgresql/15/bin 2>/dev/null) || { echo "postgres.sh: install postgresql-15" >&2; exit 1; }
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
data=$(mktemp -d)
as=()
if [ "$(id -u)" -eq 0 ]; then
    chown postgres "$data"
    as=(runuser -u postgres --)
fi
stop() {
    "${as[@]}" "$programs/pg_ctl" -D "$data/db" -m immediate stop >/dev/null || true
    rm -rf "$data"
}
trap stop EXIT
"${as[@]}" "$programs/initdb" -D "$data/db" -U luma --auth=trust -E UTF8 --locale=C.UTF-8 >/dev/null
"${as[@]}" "$programs/pg_ctl" -w -D "$data/db" -l "$data/log" start >/dev/null \
    -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$data"
UPDATE=127.0.0.1:$port cargo test -p query-engine --test it as_by_postgresql
