# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of calls.h: `--link` prints what the linker is told; `--check OBJECT...` holds that
the objects of isolate/ enter the kernel in no other way."""

import re
import subprocess
import sys
from pathlib import Path

TABLE = Path(__file__).with_name("calls.h")

# Libraries of others have calls of their own, of which some are led through the table, too.
LIBRARIES = ("cgroup_", "nl_", "rtnl_", "cap_")
# Of libc what only computes, or is about our own memory.
PURE = set("""
    __assert_fail __ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc __errno_location
    __executable_start __libc_current_sigrtmax __stack_chk_fail _GLOBAL_OFFSET_TABLE_ calloc dirfd
    fault_gate free getenv malloc memchr memcmp memcpy memset memmove
    program_invocation_short_name realloc sigaddset sigemptyset sigfillset snprintf strcat strchr
    strcmp strcspn strerror strlen strncat strncmp strncpy strnlen strrchr strspn strstr strtok_r
    strtoll strtoull strtol strdup sysconf unsetenv vsnprintf qsort abort
    __memcpy_chk __snprintf_chk __strcat_chk __strncat_chk __vsnprintf_chk
""".split())


def names():
    return re.findall(r"^\tX\((\w+), ", TABLE.read_text(encoding="ascii"), re.M)


def symbols(option, objects):
    listed = subprocess.run(["nm", option, "--format=just-symbols", *objects], check=True,
                            capture_output=True, text=True).stdout.split("\n")
    return {line.strip() for line in listed if line.strip() and not line.endswith(":")}


def check(objects):
    unknown = symbols("--undefined-only", objects) - symbols("--defined-only", objects)
    unknown -= PURE | set(names())
    unknown = sorted(name for name in unknown if not name.startswith(LIBRARIES))
    for name in unknown:
        print(f"isolate/ calls {name}(), which is neither in {TABLE.name} nor known to stay out "
              "of the kernel")
    unused = sorted(set(names()) - symbols("--undefined-only", objects))
    # tenantd.c has some more, which are in no library.
    print(f"{len(names())} calls in the table, {len(unused)} of them not made by the library: "
          f"{' '.join(unused)}")
    return 1 if unknown else 0


if sys.argv[1] == "--link":
    print(" ".join(f"-Wl,--wrap={name}" for name in names()))
else:
    sys.exit(check(sys.argv[2:]))
