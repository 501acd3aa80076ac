# SPDX-License-Identifier: LGPL-2.1-or-later
"""The files that one run adds to the guest, as a tar that qemu shows to it as a disk."""

import os
import tarfile
import tempfile

from image import VM_DIR
from report import Broken

JOB_DIR = "/srv/job"
AGENT_DIR = "/usr/lib/tenantd-vm"
UNIT_DIR = "/etc/systemd/system"
# Where our own files go. They travel with each run rather than in the image, which is Debian's
# alone and need not be made again when these change.
OWN = {
    "guest/agent.py": f"{AGENT_DIR}/agent.py",
    "host/wire.py": f"{AGENT_DIR}/wire.py",
    "guest/install": f"{AGENT_DIR}/install",
    "guest/tenantd-vm-agent.service": f"{UNIT_DIR}/tenantd-vm-agent.service",
    "guest/tenantd-vm.target": f"{UNIT_DIR}/tenantd-vm.target",
}
# Directories that are links into /usr in the guest, and must stay so.
MERGED = ("bin", "lib", "lib64", "sbin")


def base_name(path):
    return os.path.basename(os.path.abspath(path))


def check_job(paths):
    """Broken if a path is not there or two would get the same name."""
    names = {}
    for path in paths:
        if not os.path.exists(path):
            raise Broken(f"{path}: no such file or directory")
        name = base_name(path)
        if not name:
            raise Broken(f"{path} has no name of its own to be copied under")
        if name in names:
            raise Broken(f"{names[name]} and {path} would both become {name} in the guest")
        names[name] = path


def owned_by_root(info):
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def add_installed(archive, dest):
    for top in sorted(os.listdir(dest)):
        inside = f"usr/{top}" if top in MERGED else top
        archive.add(f"{dest}/{top}", inside, filter=owned_by_root)


def add_job(archive, paths):
    job_dir = tarfile.TarInfo(JOB_DIR.lstrip("/"))
    job_dir.type = tarfile.DIRTYPE
    job_dir.mode = 0o755
    archive.addfile(job_dir)
    for path in paths:
        # What is named is copied even if it is a link; links below it stay links.
        archive.add(os.path.realpath(path), f"{JOB_DIR}/{base_name(path)}",
                    filter=owned_by_root)


def disk(dest, paths):
    """An unnamed file: the tar of what is installed in `dest`, our own files and the job's."""
    file = tempfile.TemporaryFile(prefix="tenantd-vm-")
    # GNU's format: busybox's tar does not know the names in pax headers.
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        add_installed(archive, dest)
        for name, inside in OWN.items():
            archive.add(f"{VM_DIR}/{name}", inside, filter=owned_by_root)
        add_job(archive, paths)
    file.flush()
    return file
