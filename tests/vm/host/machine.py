# SPDX-License-Identifier: LGPL-2.1-or-later
"""One qemu process: two disks, and as sockets a serial console and the agent's port.

qemu is killed when it is no longer needed: nothing on its disks is to be kept, unless the caller
brings a root disk of its own, and then it is for that to say what a kill leaves. The kernel kills
qemu, too, if this process dies of something that it cannot catch.
"""

import os
import re
import secrets
import select
import socket
import subprocess
import time

import wire
from report import Broken

EMULATED = "tcg,thread=multi"
PROBE_SECONDS = 10
PROBE_ANSWER = b"tests/vm: this machine works"

KERNEL_ARGUMENTS = (
    "console=ttyS0 loglevel=6 panic=-1 mitigations=off root=/dev/vda rw "
    "cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1 "
    "systemd.unit=tenantd-vm.target systemd.show_status=error"
)


def setting(name, default, pattern):
    value = os.environ.get(name) or default
    if not re.fullmatch(pattern, value):
        raise Broken(f"{name}={value}: expected something like {default}")
    return value


def escape(path):
    """A comma ends an option's value in qemu."""
    return path.replace(",", ",,")


def forgotten(image):
    """qemu's arguments for a root disk that begins as the image and ends with the machine."""
    return ["-drive", f"file={escape(image.disk)},if=virtio,format=raw,cache=unsafe,snapshot=on"]


class Machine:
    def __init__(self, image, arguments, accelerator, run_disk=None, root=None):
        """Starts a machine; `run_disk`, a file, is borrowed until the machine is gone. `root`:
        qemu's arguments for the root disk, if it is not to be forgotten()."""
        memory = setting("TENANTD_VM_MEMORY", "2560M", r"[1-9][0-9]*[MG]?")
        cpus = setting("TENANTD_VM_CPUS", "2", r"[1-9][0-9]?")
        self.console, console_end = socket.socketpair()
        self.port, port_end = socket.socketpair()
        fds = [console_end.fileno(), port_end.fileno()]
        argv = [
            "setpriv", "--pdeathsig", "KILL",
            "qemu-system-x86_64", "-name", "tenantd-vm", "-nodefaults", "-no-user-config",
            "-machine", "q35", "-accel", accelerator, "-cpu", "max", "-smp", cpus, "-m", memory,
            "-display", "none", "-net", "none", "-no-reboot", "-rtc", "base=utc",
            "-kernel", image.kernel, "-initrd", image.initrd, "-append", arguments,
            *(root or forgotten(image)),
            "-chardev", f"socket,id=console,fd={console_end.fileno()}",
            "-serial", "chardev:console",
            "-chardev", f"socket,id=agent,fd={port_end.fileno()}",
            "-device", "virtio-serial-pci",
            "-device", f"virtserialport,chardev=agent,name={wire.PORT_NAME}",
        ]
        if run_disk:
            fds.append(run_disk.fileno())
            argv += ["-drive", f"file=/proc/self/fd/{run_disk.fileno()},if=virtio,format=raw,"
                               "readonly=on"]
        self.process = subprocess.Popen(
            argv, pass_fds=fds,
            stdin=subprocess.DEVNULL, stdout=console_end, stderr=console_end,
            # A ^C of the terminal is for us to handle.
            start_new_session=True)
        console_end.close()
        port_end.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.console.close()
        self.port.close()


def start(image, accelerator, run_disk, root=None):
    return Machine(image, f"{KERNEL_ARGUMENTS} systemd.machine_id={secrets.token_hex(16)}",
                   accelerator, run_disk, root)


def accelerator_for(image, cache):
    """KVM if a kernel really comes up on it, which /dev/kvm does not promise. The answer holds
    until the host is booted again, so it is kept."""
    if not os.path.exists("/dev/kvm"):
        return EMULATED
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
        boot_id = boot.read().strip()
    kept = f"{cache}/accelerator"
    if os.path.exists(kept):
        with open(kept, encoding="ascii") as file:
            known = file.read().split()
        if len(known) == 2 and known[0] == boot_id:
            return known[1]
    answer = "kvm" if comes_up(image, "kvm") else EMULATED
    with open(kept, "w", encoding="ascii") as file:
        file.write(f"{boot_id} {answer}\n")
    return answer


def comes_up(image, accelerator):
    deadline = time.monotonic() + PROBE_SECONDS
    seen = b""
    arguments = "console=ttyS0 quiet panic=-1 tenantd_vm.probe"
    with Machine(image, arguments, accelerator) as probe:
        while PROBE_ANSWER not in seen:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([probe.console], [], [], left)[0]:
                return False
            try:
                data = probe.console.recv(4096)
            except ConnectionResetError:
                data = b""
            if not data:
                return False
            seen += data
    return True
