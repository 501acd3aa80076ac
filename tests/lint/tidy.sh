#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# tidy.sh BUILD: clang-tidy over the product's files, by the compile commands of BUILD (made with clang).
set -eu
build=$(readlink -f "$1")
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
mapfile -t files < <(git ls-files 'policy/*.c' 'isolate/*.c' 'runtime/*.c' 'tools/*.c' ':!tools/demo' ':!isolate/init.c')
[ ${#files[@]} -gt 0 ]
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p "$build"
