# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command lines of what tenantd is compared with: the same namespaces, the same view of the
file system, the same ids."""

import json
from pathlib import Path

UID = 1000
HOST_ID = 1 << 31
HIDDEN = ("acpi", "asound", "scsi", "kcore", "keys", "key-users", "kallsyms", "kmsg", "loadavg",
          "latency_stats", "timer_list", "timer_stats", "interrupts", "sched_debug", "pressure")
READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs")
# Links into /usr where the host has them as such, else directories to show.
HOST_DIRECTORIES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def existing(names):
    return [f"/proc/{name}" for name in names if Path("/proc", name).exists()]


def bwrap(directory, command):
    """Left out, and so in bwrap's favour: the cgroup, the seccomp filter, limits, the record."""
    argv = ["/usr/bin/bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc",
            "--unshare-uts", "--unshare-cgroup", "--uid", str(UID), "--gid", str(UID),
            "--hostname", "bench", "--new-session", "--die-with-parent", "--clearenv",
            "--setenv", "PATH", "/usr/bin:/bin", "--ro-bind", "/usr", "/usr"]
    for name in HOST_DIRECTORIES:
        path = Path("/", name)
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), str(path)]
    argv += ["--dir", "/etc", "--proc", "/proc"]
    for path in existing(HIDDEN):
        argv += ["--tmpfs", path] if Path(path).is_dir() else ["--ro-bind", "/dev/null", path]
    argv += ["--dev", "/dev", "--tmpfs", "/dev/shm", "--tmpfs", "/tmp", "--tmpfs", "/run/tenant",
             "--tmpfs", "/cache", "--bind", f"{directory}/data", "/data", "--chdir", "/data"]
    return argv + [command]


def mount(target, kind, source, *options):
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def bundle(directory, name, command):
    """An OCI bundle that shows the same; crun and runc also make a cgroup. No seccomp filter."""
    path = directory / "bundles" / name
    rootfs = path / "rootfs"
    rootfs.mkdir(parents=True)
    mounts = [mount("/proc", "proc", "proc", "nosuid", "nodev", "noexec"),
              mount("/usr", "bind", "/usr", "rbind", "ro", "nosuid", "nodev")]
    for one in HOST_DIRECTORIES:
        host = Path("/", one)
        if host.is_symlink():
            (rootfs / one).symlink_to(host.readlink())
        elif host.is_dir():
            mounts.append(mount(f"/{one}", "bind", f"/{one}", "rbind", "ro", "nosuid", "nodev"))
    mounts += [
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance",
              "ptmxmode=0666", "mode=0620"),
        mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777"),
        mount("/tmp", "tmpfs", "tmp", "nosuid", "nodev", "mode=1777"),
        mount("/run/tenant", "tmpfs", "tenant", "nosuid", "nodev", "noexec"),
        mount("/cache", "tmpfs", "cache", "nosuid", "nodev"),
        mount("/data", "bind", f"{directory}/data", "bind", "nosuid", "nodev"),
    ]
    for made in mounts:
        (rootfs / made["destination"].lstrip("/")).mkdir(parents=True, exist_ok=True)
    ids = [{"containerID": 0, "hostID": HOST_ID, "size": 65536}]
    kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup", "user")
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False, "user": {"uid": UID, "gid": UID}, "args": [command],
            "env": ["PATH=/usr/bin:/bin"], "cwd": "/data", "noNewPrivileges": True,
            "capabilities": {one: [] for one in ("bounding", "effective", "permitted")},
        },
        "root": {"path": "rootfs", "readonly": True}, "hostname": "bench", "mounts": mounts,
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "uidMappings": ids, "gidMappings": ids,
            "maskedPaths": existing(HIDDEN), "readonlyPaths": existing(READ_ONLY),
        },
    }
    (path / "config.json").write_text(json.dumps(config), encoding="ascii")
    return path


def oci(program, directory, name, command):
    """`@` is a name that no other container has; see core.c."""
    argv = [program, "--root", str(directory / Path(program).name), "run", "--bundle",
            str(bundle(directory, name, command)), "@"]
    return argv
