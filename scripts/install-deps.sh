#!/bin/sh
# Installs what is missing, and nothing twice, through apt: Debian 12, Raspberry Pi OS and what derives from them.
#
#   scripts/install-deps.sh [build] [check] [fuzz] [bench]     without a word: build
#
#   build   what builds syncline and runs the demo
#   check   what the tests need in addition
#   fuzz    what `make fuzz` needs in addition (clang, large)
#   bench   what bench/verify.py compares with
#
# Needs root or sudo only if something is missing. The server comes as mariadb-server-core, the programs without a
# service: the lab starts private servers of its own, so nothing is left running that was not asked for. A
# mariadb-server that is installed already is left as it is.
# docs/dependencies.md says what each package is for.
set -u
cd "$(dirname "$0")/.." || exit 1

# set, package, and how to see that it is there although dpkg does not know it (built from source, another distribution)
table='
build gcc                 command:cc
build libc6-dev           header:stdlib.h
build make                command:make
build meson               command:meson
build ninja-build         command:ninja
build pkg-config          command:pkg-config
build libmariadb-dev      module:libmariadb
build libjansson-dev      module:jansson
build libmicrohttpd-dev   module:libmicrohttpd
build libxxhash-dev       module:libxxhash
build uthash-dev          header:uthash.h
build zlib1g-dev          module:zlib
build libssl-dev          module:openssl
build libsystemd-dev      module:libsystemd
build mariadb-server-core command:mariadbd
build mariadb-client-core command:mariadb
build mariadb-client      command:mariadb-binlog
build iproute2            command:ip
check libcmocka-dev       module:cmocka
check python3-pytest      script:scripts/find-python
check python3-pymysql     script:scripts/find-python
check openssl             command:openssl
check faketime            command:faketime
check sysbench            command:sysbench
check spin                command:spin
check chromium            command:chromium
check chromium-driver     command:chromedriver
check python3-selenium    script:scripts/find-python
fuzz  clang               command:clang
fuzz  libclang-rt-dev     fuzzer:clang
bench percona-toolkit     command:pt-table-checksum
'

fail()
{
	echo "install-deps: $*" >&2
	exit 1
}

is_there()
{
	what=${1#*:}
	case $1 in
	command:*) PATH=$PATH:/usr/sbin:/sbin command -v "$what" ;;
	module:*) pkg-config --exists "$what" ;;
	header:*) echo "#include <$what>" | cc -E - ;;
	script:*) "$what" ;;
	fuzzer:*)
		probe=$(mktemp) && echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
			"$what" -fsanitize=fuzzer -x c -o "$probe" - && rm -f "$probe"
		;;
	esac >/dev/null 2>&1
}

is_installed()
{
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

[ $# -gt 0 ] || set -- build
for set in "$@"; do
	case $set in build | check | fuzz | bench) ;; *) fail "'$set' is no set of packages: build, check, fuzz or bench" ;; esac
done

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null && has_apt=yes || has_apt=no
missing=
while read -r set package sign; do
	case " $* " in *" $set "*) ;; *) continue ;; esac
	[ "$has_apt" = yes ] && is_installed "$package" && continue
	is_there "$sign" && continue
	missing="$missing $package"
done <<EOF
$(echo "$table" | sed '/^$/d')
EOF
[ -n "$missing" ] || exit 0

[ "$has_apt" = yes ] || fail "install these with your package manager (Debian's names):$missing"
install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
	root=
elif command -v sudo >/dev/null; then
	root=sudo
	[ -t 0 ] || sudo -n true 2>/dev/null || fail "sudo wants a password and there is no terminal; run as root: $install"
else
	fail "neither root nor sudo; run as root: $install"
fi

echo "install-deps: installing$missing"
apt="$root env DEBIAN_FRONTEND=noninteractive apt-get -qq"
apt="$apt -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0"
$apt update || echo "install-deps: apt-get update failed; trying with the package lists there are" >&2
# shellcheck disable=SC2086 # words on purpose
$apt install -y --no-install-recommends $missing </dev/null || fail "apt failed, see above; to try by hand: $install"
