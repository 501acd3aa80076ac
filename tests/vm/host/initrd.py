# SPDX-License-Identifier: LGPL-2.1-or-later
"""The initial RAM disk: busybox, the modules that reach the disks, and guest/initrd-init.

The distribution's own one looks for disks that may be anything anywhere, with udev, and takes
longer for it than the whole of this machine's boot. Here the hardware is known.
"""

import os
import stat

# Nothing needs them by name after this: the port's driver is loaded here so that the agent need
# not wait for udev, the quota format because mounting asks for it.
MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "quota_v2")
DIRECTORIES = ("bin", "dev", "modules", "proc", "root", "sys")


class Cpio:
    """Writes the "newc" archive that the kernel unpacks."""

    def __init__(self, out):
        self._out = out
        self._inode = 0

    def add(self, name, mode, data=b""):
        self._inode += 1
        name = name.encode() + b"\0"
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        for part in (head, data):
            self._out.write(part + b"\0" * (-len(part) % 4))

    def end(self):
        self.add("TRAILER!!!", 0)


def modules_in_order(modules_dir):
    """Paths of MODULES and of what they depend on, in the order of loading."""
    depends = {}
    with open(f"{modules_dir}/modules.dep", encoding="ascii") as lines:
        for line in lines:
            path, _, needs = line.partition(":")
            depends[path] = needs.split()
    by_name = {os.path.basename(path).split(".")[0].replace("-", "_"): path for path in depends}
    order = []
    for name in MODULES:
        path = by_name[name]
        for needed in [*reversed(depends[path]), path]:
            if needed not in order:
                order.append(needed)
    return [f"{modules_dir}/{path}" for path in order]


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def write(root, init, path):
    """Makes the initial RAM disk `path` of a guest whose files are in `root`."""
    modules_root = f"{root}/usr/lib/modules"
    (release,) = os.listdir(modules_root)
    with open(path, "wb") as out:
        archive = Cpio(out)
        for name in DIRECTORIES:
            archive.add(name, stat.S_IFDIR | 0o755)
        program = stat.S_IFREG | 0o755
        archive.add("bin/busybox", program, contents(f"{root}/usr/bin/busybox"))
        archive.add("init", program, contents(init))
        for index, module in enumerate(modules_in_order(f"{modules_root}/{release}")):
            name = f"modules/{index:02}-{os.path.basename(module)}"
            archive.add(name, stat.S_IFREG | 0o644, contents(module))
        archive.end()
