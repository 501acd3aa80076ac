# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cached image: kernel, initial RAM disk and a disk with Debian on it.

An image is a directory of the cache, named by a hash of all that makes it: this recipe and the
versions of the packages. Nobody writes to it again once it has its name: machines write to an
overlay that qemu forgets. The project is not in it.

Who builds or removes holds an exclusive flock on the cache, so a directory with a temporary
name that is found under that lock was left by a process that died. Who uses an image holds a
shared flock on it for as long, so that pruning leaves it alone.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import time

import apt
import command
import initrd
from report import Broken, say

VM_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = f"{VM_DIR}/packages-guest"
HOST_PACKAGES = (f"{VM_DIR}/../../tools/packaging/build-packages", f"{VM_DIR}/packages-host")
INIT = f"{VM_DIR}/guest/initrd-init"
RECIPE = (PACKAGES, INIT, f"{VM_DIR}/host/image.py", f"{VM_DIR}/host/initrd.py")

TEMPORARY = "temporary-"
DISK_SIZE = "8G"  # sparse; what tests have to write on
KEEP = 2  # images: this one and the one before, for who goes back and forth

# The project needs none of these, and each costs a start some time.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "modprobe@drm.service",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-pstore.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
)

FILES = {
    "etc/hostname": "tenantd-vm\n",
    "etc/hosts": "127.0.0.1 localhost tenantd-vm\n::1 localhost\n",
    "etc/default/locale": "LANG=C.UTF-8\n",
    # Tests read the journal, and it must not leave out what came too fast.
    "etc/systemd/journald.conf.d/tests.conf":
        "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n",
}


class Image:
    """A finished image in use. The lock lives as long as the object."""

    def __init__(self, path, lock):
        self.kernel = f"{path}/kernel"
        self.initrd = f"{path}/initrd"
        self.disk = f"{path}/disk.raw"
        self._lock = lock


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return f"{base}/tenantd-vm"


def versions():
    names = apt.read_list(PACKAGES)
    found = apt.candidates(names)
    if len(found) < len(names):
        apt.update()
        found = apt.candidates(names)
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise Broken(f"apt on this host has no package {', '.join(unknown)}; "
                     f"the host must be Debian {apt.CODENAME}, as the guest is")
    return found


def key_of(package_versions):
    sum_ = hashlib.sha256()
    for path in RECIPE:
        with open(path, "rb") as file:
            sum_.update(hashlib.sha256(file.read()).digest())
    for name in sorted(package_versions):
        sum_.update(f"{name} {package_versions[name]}\n".encode())
    return sum_.hexdigest()[:16]


def open_image(path):
    """The image at `path`, locked for use, or None if there is none."""
    try:
        lock = open(f"{path}/disk.raw", "rb")
    except FileNotFoundError:
        return None
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not os.path.exists(f"{path}/disk.raw"):  # it was pruned while we waited
        return None
    os.utime(path)
    return Image(path, lock)


@contextlib.contextmanager
def exclusive(cache):
    with open(f"{cache}/lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that makes an image")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure():
    """The image for what this host has now, made if it is not in the cache."""
    cache = cache_dir()
    found = versions()
    path = f"{cache}/image-{key_of(found)}"
    os.makedirs(cache, mode=0o755, exist_ok=True)
    # Without the cache's lock first: a running build of some other image is no reason to wait.
    image = open_image(path)
    if image:
        return image
    with exclusive(cache):
        image = open_image(path)
        if not image:
            build(cache, path, sorted(found))
            prune(cache, path)
            image = open_image(path)
    return image


def build(cache, path, packages):
    apt.need_root("making the guest's image")
    for left in glob.glob(f"{cache}/{TEMPORARY}*"):
        remove_tree(left)
    say("making the guest's image (once; about a minute, more over a slow network)")
    started = time.monotonic()
    work = f"{cache}/{TEMPORARY}{os.path.basename(path)}"
    os.mkdir(work)
    try:
        with open(f"{work}/log", "w+b") as log:
            root = f"{work}/root"
            bootstrap(work, root, packages, log)
            configure(root)
            (kernel,) = glob.glob(f"{root}/boot/vmlinuz-*")
            os.mkdir(f"{work}/image")
            shutil.copyfile(kernel, f"{work}/image/kernel")
            initrd.write(root, INIT, f"{work}/image/initrd")
            make_disk(root, f"{work}/image/disk.raw", log)
        os.rename(f"{work}/image", path)
    finally:
        remove_tree(work)
    say(f"made {path} in {time.monotonic() - started:.0f} s")


def bootstrap(work, root, packages, log):
    """Debian into the directory `root`, from the host's own sources."""
    lines, stanzas = apt.debian_sources()
    sources = []
    for name, text in (("debian.list", lines), ("debian.sources", stanzas)):
        if text:
            sources.append(f"{work}/{name}")
            write_text(sources[-1], text)
    write_text(f"{work}/apt.conf", apt.settings() + 'APT::Install-Recommends "false";\n')
    command.run(
        ["unshare", "--mount", "--propagation", mount_propagation(),
         "mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}",
         f"--aptopt={work}/apt.conf", apt.CODENAME, root, *sources],
        "making the guest's files", log,
        # The kernel's package would make an initial RAM disk; ours is another one.
        env={"INITRD": "No"})


def mount_propagation():
    """`private`, so that no mount of mmdebstrap can stay; in a chroot whose root is no mount
    point that is not to be had."""
    probe = ["unshare", "--mount", "--propagation", "private", "true"]
    return "unchanged" if subprocess.run(probe, stderr=subprocess.DEVNULL,
                                         check=False).returncode else "private"


def configure(root):
    for name in ("etc/resolv.conf", "etc/apt/sources.list", "etc/apt/sources.list.d",
                 "etc/apt/apt.conf.d/99mmdebstrap"):
        remove(f"{root}/{name}")
    for name, text in FILES.items():
        os.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
        write_text(f"{root}/{name}", text)
    for unit in MASKED:
        link = f"{root}/etc/systemd/system/{unit}"
        remove(link)
        os.symlink("/dev/null", link)


def make_disk(root, path, log):
    """An ext4 without partitions. The features are those that tenants' storage builds on; what
    mkfs would leave to the kernel's first idle time is done now, since every start is first."""
    command.run(
        ["mkfs.ext4", "-q", "-F", "-L", "tenantd-vm", "-O", "encrypt,quota,project,verity",
         "-E", "quotatype=usrquota:grpquota:prjquota,lazy_itable_init=0,lazy_journal_init=0",
         "-i", "32768", "-J", "size=32", "-d", root, path, DISK_SIZE],
        "making the guest's disk", log)


def prune(cache, newest):
    images = sorted(glob.glob(f"{cache}/image-*"), key=os.path.getmtime, reverse=True)
    for path in [image for image in images if image != newest][KEEP - 1 :]:
        with open(f"{path}/disk.raw", "rb") as disk:
            try:
                fcntl.flock(disk, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # in use
            unnamed = f"{cache}/{TEMPORARY}{os.path.basename(path)}"
            os.rename(path, unnamed)
            remove_tree(unnamed)


def write_text(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def remove_tree(path):
    """Removes a directory, but never what is mounted in it: that would be the host's."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        held = [m.split()[1] for m in mounts if m.split()[1].startswith(f"{path}/")]
    if held:
        raise Broken(f"{held[0]} is still mounted; unmount it and remove {path}")
    shutil.rmtree(path)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
