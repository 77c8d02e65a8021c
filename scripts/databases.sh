#!/bin/sh
# Finds MariaDB and PostgreSQL servers for the tests; on Debian and Ubuntu installs what is missing.
# Nothing is started: the tests start their own, on a private port and data directory.
set -eu

find_server() {
    for place in $(command -v "$1" 2>/dev/null) /usr/sbin/"$1" /usr/lib/postgresql/*/bin/"$1"; do
        [ -x "$place" ] && return 0
    done
    return 1
}

missing=""
# mariadb-install-db, which comes with the server, calls a program that comes with the client.
{ find_server mariadbd && find_server my_print_defaults; } ||
    missing="$missing mariadb-server-core mariadb-client-core"
find_server initdb || missing="$missing postgresql"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "The tests against real databases need:$missing (Debian package names)." >&2
    echo "Install them and run again; without them those tests are skipped (never in CI)." >&2
    exit 0
fi

echo "Installing for the tests:$missing"
export DEBIAN_FRONTEND=noninteractive
# The package would otherwise create and start a cluster of its own.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
apt-get update -qq
# shellcheck disable=SC2086  # a list of package names
apt-get install -y -qq --no-install-recommends $missing >/dev/null
