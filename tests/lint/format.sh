#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# format.sh: is every tracked C file as .clang-format says?
set -eu
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
mapfile -t files < <(git ls-files '*.c' '*.h')
[ ${#files[@]} -gt 0 ]
exec clang-format --dry-run -Werror "${files[@]}"
