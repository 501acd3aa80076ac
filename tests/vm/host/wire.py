# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stream between the host and the agent in the guest.

One virtio port carries everything in both directions, as frames of one byte kind, four bytes
length and a payload. One ordered stream rather than a port each for output and status: the
status frame then cannot overtake the output that was written before it, so nothing is lost at
the end, and what is binary stays binary. The agent gets a copy of this file.
"""

import struct

PORT_NAME = "tenantd-vm"

# guest to host
READY = 1  # tenantd.service is active; empty
FAILED = 2  # the guest is no good; text for a person
STDOUT = 3  # bytes
STDERR = 4  # bytes
FETCHED = 5  # four bytes index into "fetch", then bytes of that file
EXITED = 6  # JSON {"status": int, "fetch_errors": {index: text}}; the last frame

# host to guest
JOB = 16  # JSON {"argv": [...], "cwd": path, "terminal": null | {...}, "fetch": [paths]}
STDIN = 17  # bytes, terminal jobs only
RESIZED = 18  # JSON [rows, columns], terminal jobs only

PAYLOAD_MAX = 1 << 20
HEADER = struct.Struct(">BI")


def frame(kind, payload=b""):
    return HEADER.pack(kind, len(payload)) + payload


class Unpacker:
    """Cuts what was received into frames."""

    def __init__(self):
        self._buffer = bytearray()

    def feed(self, data):
        """Takes bytes in, gives the list of (kind, payload) that they complete."""
        self._buffer += data
        frames = []
        at = 0
        while len(self._buffer) - at >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer, at)
            if length > PAYLOAD_MAX:
                raise ValueError(f"frame of {length} bytes")
            end = at + HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append((kind, bytes(self._buffer[at + HEADER.size : end])))
            at = end
        del self._buffer[:at]
        return frames
