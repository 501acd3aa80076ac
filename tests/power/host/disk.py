# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that knows what was flushed, and qemu's way to it (the NBD protocol).

What is written is in the disk's cache until a flush; a power loss takes from that cache what it
likes. A block is written whole or not at all, as by disks with physical sectors of that size,
and the guest is told so.
"""

import os
import socket
import struct
import tempfile
import threading

BLOCK = 4096

NBD_MAGIC = 0x4e42444d41474943
OPTION_MAGIC = 0x49484156454f5054
OPTION_REPLY_MAGIC = 0x3e889045565a9
REQUEST_MAGIC = 0x25609513
REPLY_MAGIC = 0x67446698
FLAG_FIXED_NEWSTYLE, FLAG_NO_ZEROES = 1, 2
OPTION_ABORT, OPTION_GO = 2, 7
REPLY_ACK, REPLY_INFO, REPLY_UNSUPPORTED = 1, 3, (1 << 31) + 1
INFO_EXPORT, INFO_BLOCK_SIZE = 0, 3
EXPORT_HAS_FLAGS, EXPORT_SEND_FLUSH = 1, 4
READ, WRITE, DISCONNECT, FLUSH = range(4)
OPTION_BYTES_MAX = 64 * 1024
REQUEST_BYTES_MAX = 32 * 1024 * 1024
EINVAL = 22


class Disk:
    """Blocks over those of a base file that is never written to."""

    def __init__(self, base):
        self._base = open(base, "rb", buffering=0)
        self._changed = tempfile.TemporaryFile(prefix="tenantd-power-", buffering=0)
        self._where = set()  # the numbers of the blocks that are in _changed
        self._cached = []  # (number, what was written), in order, since the last flush
        self._below = {}  # what was there of those at the last flush
        self._failing = None  # set once a flush has come too late
        self.size = os.fstat(self._base.fileno()).st_size
        self.flushes = 0
        if self.size % BLOCK:
            raise ValueError(f"{base}: {self.size} bytes are no whole blocks")

    def close(self):
        self._base.close()
        self._changed.close()

    def _get(self, number):
        file = self._changed if number in self._where else self._base
        return os.pread(file.fileno(), BLOCK, number * BLOCK)

    def _put(self, number, block):
        os.pwrite(self._changed.fileno(), block, number * BLOCK)
        self._where.add(number)

    def holds(self, offset, length):
        """Whether these are whole blocks of the disk."""
        return offset % BLOCK == length % BLOCK == 0 and offset + length <= self.size

    def read(self, offset, length):
        first = offset // BLOCK
        return b"".join(map(self._get, range(first, first + length // BLOCK)))

    def write(self, offset, data):
        for at in range(0, len(data), BLOCK):
            number, block = (offset + at) // BLOCK, bytes(data[at : at + BLOCK])
            self._below.setdefault(number, self._get(number))
            self._cached.append((number, block))
            self._put(number, block)

    def fail_at_flush(self):
        """The next flush that has anything to write comes too late: gives the event by which that
        is told. So the cache is not empty when the power goes."""
        self._failing = threading.Event()
        return self._failing

    def fails(self):
        """Whether the power has gone with what was to be flushed now."""
        if self._failing is not None and self._cached:
            self._failing.set()
        return self._failing is not None and self._failing.is_set()

    def flush(self):
        self.flushes += 1
        self._cached.clear()
        self._below.clear()

    def lose_power(self, chance=None):
        """Each block written since the last flush is there or not as `chance`, a function of
        nothing, says; without it none is. Gives how many writes were lost, and of how many."""
        cached, lost = self._cached, 0
        for number, block in self._below.items():
            self._put(number, block)
        for number, block in cached:
            if chance is not None and chance():
                self._put(number, block)
            else:
                lost += 1
        self._cached, self._below, self._failing = [], {}, None
        return lost, len(cached)

    def keep_cache(self):
        """As when the machine alone goes down and the disk still writes what it has. Gives how
        many writes that were."""
        kept = len(self._cached)
        self._cached, self._below = [], {}
        return kept


class Server(threading.Thread):
    """Serves a disk at a socket to one qemu, until that is gone. join() raises what went wrong.
    Nobody else may use the disk meanwhile."""

    def __init__(self, disk, path):
        super().__init__(daemon=True)
        self._disk = disk
        self._path = path
        self._failure = None
        self._over = threading.Event()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen(1)
        self.start()

    def arguments(self):
        """qemu's, for a root disk that is this one."""
        path = self._path.replace(",", ",,")
        return ["-drive", f"driver=raw,file.driver=nbd,file.path={path},if=none,id=root,"
                          "cache=writeback",
                "-device", f"virtio-blk-pci,drive=root,logical_block_size={BLOCK},"
                           f"physical_block_size={BLOCK}"]

    def run(self):
        try:
            with self._accept() as connection:
                if self._negotiate(connection):
                    while self._request(connection):
                        pass
        except (ConnectionError, EOFError):
            pass  # qemu was killed, in the middle of a request perhaps, which then never was
        except Exception as failure:
            self._failure = failure

    def _accept(self):
        try:
            return self._listening.accept()[0]
        except OSError as error:
            raise EOFError from error  # join() came before any qemu

    def join(self, timeout=None):
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        super().join(timeout)
        self._listening.close()
        os.unlink(self._path)
        if self._failure is not None:
            raise self._failure

    @staticmethod
    def _take(connection, length):
        data = bytearray()
        while len(data) < length:
            part = connection.recv(min(length - len(data), 1 << 20))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _unpack(self, connection, form):
        return struct.unpack(form, self._take(connection, struct.calcsize(form)))

    def _negotiate(self, connection):
        """Whether requests follow."""
        connection.sendall(struct.pack(">QQH", NBD_MAGIC, OPTION_MAGIC,
                                       FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES))
        self._unpack(connection, ">I")
        while True:
            magic, option, length = self._unpack(connection, ">QII")
            if magic != OPTION_MAGIC or length > OPTION_BYTES_MAX:
                raise ValueError(f"an option of {length} bytes, magic {magic:#x}")
            self._take(connection, length)

            def reply(kind, data=b"", option=option):
                connection.sendall(struct.pack(">QIII", OPTION_REPLY_MAGIC, option, kind,
                                               len(data)) + data)

            if option == OPTION_GO:
                reply(REPLY_INFO, struct.pack(">HQH", INFO_EXPORT, self._disk.size,
                                              EXPORT_HAS_FLAGS | EXPORT_SEND_FLUSH))
                reply(REPLY_INFO, struct.pack(">HIII", INFO_BLOCK_SIZE, BLOCK, BLOCK,
                                              REQUEST_BYTES_MAX))
                reply(REPLY_ACK)
                return True
            reply(REPLY_ACK if option == OPTION_ABORT else REPLY_UNSUPPORTED)
            if option == OPTION_ABORT:
                return False

    def _request(self, connection):
        """Whether there may be another."""
        magic, _, kind, handle, offset, length = self._unpack(connection, ">IHHQQI")
        if magic != REQUEST_MAGIC or length > REQUEST_BYTES_MAX:
            raise ValueError(f"a request of {length} bytes, magic {magic:#x}")
        data, error = b"", 0
        written = self._take(connection, length) if kind == WRITE else b""
        if kind == DISCONNECT:
            return False
        if kind == FLUSH and self._disk.fails():
            self._over.wait()
            return False
        if kind == FLUSH:
            self._disk.flush()
        elif kind not in (READ, WRITE) or not self._disk.holds(offset, length):
            error = EINVAL
        elif kind == READ:
            data = self._disk.read(offset, length)
        else:
            self._disk.write(offset, written)
        connection.sendall(struct.pack(">IIQ", REPLY_MAGIC, error, handle) + data)
        return True
