#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# headers.sh SOURCE LIBRARY CC CXX: the public headers, as users' compilers see them, and the
# symbols of the library: those that the headers declare, and no others.
set -u
source=$1 library=$2 cc=$3 cxx=$4
warnings='-Wall -Wextra -Werror -pedantic -pedantic-errors -Wundef'
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

try() {
	"$@" || { echo "FAILED: $*"; failed=1; }
}

for header in backup bill client error log policy run stats types; do
	file=$source/tests/client/headers.c
	# shellcheck disable=SC2086
	for standard in c11 c17; do
		try "$cc" -std=$standard $warnings -Wshadow -Wstrict-prototypes -I"$source/include" \
			-DHEADER="<tenant/$header.h>" -fsyntax-only "$file"
	done
	# shellcheck disable=SC2086
	for standard in c++11 c++20; do
		try "$cxx" -std=$standard -x c++ $warnings -I"$source/include" \
			-DHEADER="<tenant/$header.h>" -fsyntax-only "$file"
	done
done
# They say it to the linker, too.
try "$cxx" -std=c++20 -x c++ -I"$source/include" '-DHEADER=<tenant/run.h>' \
	"$source/tests/client/headers.c" -x none "$library" -o "$work/linked"

cat "$source"/include/tenant/*.h | tr '\n' ' ' |
	grep -o 'TN_API [^(;]*[ *]tn_[a-z_]*(' | grep -v 'define' |
	sed 's/.*[ *]\(tn_[a-z_]*\)($/\1/' | sort -u >"$work/declared"
nm --dynamic --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
	sort -u >"$work/exported"
[ "$(wc -l <"$work/declared")" -ge 50 ] || { echo "FAILED: few declarations found"; failed=1; }
try diff "$work/declared" "$work/exported"
# Every symbol has the library's version.
nm --dynamic --defined-only "$library" | grep -v 'LIBTENANT_0$' && failed=1
exit $failed
