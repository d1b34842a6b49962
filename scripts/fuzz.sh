#!/bin/sh
# Runs every libFuzzer target for SECONDS (60 unless told), under ASan and UBSan, starting from tests/fuzz/corpus. What
# it finds new goes to build-fuzz/new; a crash stops it and leaves the input in the folder it names: mend the bug, then put
# the input into tests/fuzz/corpus, where `make check` runs it for ever.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
build='build-fuzz'
[ -f $build/build.ninja ] ||
	CC=clang meson setup $build -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false -Dwerror=false
ninja -C $build
count=0
for target in "$build"/tests/fuzz/fuzz_*; do
	if [ ! -f "$target" ] || [ ! -x "$target" ]; then
		continue
	fi
	name=${target##*/fuzz_}
	corpus=tests/fuzz/corpus/$name
	mkdir -p "$build/new/$name" "$build/crashes"
	[ -d "$corpus" ] || corpus=
	echo "fuzz_$name: $seconds s"
	# The folders in front are written to in their order: new finds go to the first one only.
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
		-print_final_stats=1 -artifact_prefix="$build/crashes/$name-" "$build/new/$name" ${corpus:+"$corpus"}
	count=$((count + 1))
done
[ $count -gt 0 ] || {
	echo "no fuzz target under $build/tests/fuzz" >&2
	exit 1
}
echo "$count targets, no crash"
