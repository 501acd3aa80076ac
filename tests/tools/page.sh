#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# page.sh SCDOC PAGE.scd: does the page build, and does scdoc or troff have anything to say?
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$1" <"$2" >"$dir/page" 2>"$dir/said" || echo "scdoc fails" >>"$dir/said"
[ -s "$dir/page" ] || echo "scdoc makes nothing of it" >>"$dir/said"
groff -K utf8 -t -man -Tutf8 -ww "$dir/page" >"$dir/text" 2>>"$dir/said" ||
	echo "groff fails" >>"$dir/said"
[ -s "$dir/text" ] || echo "groff makes nothing of it" >>"$dir/said"
# What stands for an example that was never filled in.
grep -n '@[A-Z_]*@' "$2" >>"$dir/said"
[ -s "$dir/said" ] || exit 0
sed "s|^|$2: |" "$dir/said"
exit 1
