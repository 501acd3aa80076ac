# SPDX-License-Identifier: LGPL-2.1-or-later
"""The host's half without a machine: what the disk keeps and loses, what qemu's protocol says, and
that the judge notices each thing that must not be."""

import copy
import os
import socket
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "host"))

import disk
from disk import BLOCK, Disk, Server
from judge import COMMIT_WINDOW_USEC, MARGIN_USEC, Promises, Wrong

BLOCKS = 8


def block(letter):
    return letter.encode() * BLOCK


class WithDisk(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.base = f"{self.directory.name}/base"
        with open(self.base, "wb") as file:
            file.write(block("-") * BLOCKS)
        self.disk = Disk(self.base)

    def tearDown(self):
        self.disk.close()
        with open(self.base, "rb") as file:
            self.assertEqual(file.read(), block("-") * BLOCKS)
        self.directory.cleanup()

    def put(self, number, text):
        self.disk.write(number * BLOCK, b"".join(map(block, text)))

    def shown(self):
        data = self.disk.read(0, BLOCKS * BLOCK)
        return "".join(chr(data[at]) for at in range(0, len(data), BLOCK))


class DiskTest(WithDisk):
    def test_what_was_flushed_stays(self):
        self.put(1, "ab")
        self.disk.flush()
        self.assertEqual(self.disk.lose_power(), (0, 0))
        self.assertEqual(self.shown(), "-ab-----")

    def test_the_power_goes_at_a_flush_that_has_something_to_write(self):
        told = self.disk.fail_at_flush()
        self.assertFalse(self.disk.fails())
        self.assertFalse(told.is_set())
        self.put(1, "ab")
        self.assertTrue(self.disk.fails())
        self.assertTrue(told.is_set())
        self.assertEqual(self.disk.lose_power(), (2, 2))
        self.put(1, "c")
        self.assertFalse(self.disk.fails())

    def test_what_was_not_is_there_until_the_power_goes(self):
        self.put(1, "ab")
        self.disk.flush()
        self.put(2, "xy")
        self.put(2, "z")
        self.assertEqual(self.shown(), "-azy----")
        self.assertEqual(self.disk.lose_power(), (3, 3))
        self.assertEqual(self.shown(), "-ab-----")

    def test_chance_takes_some_of_it(self):
        self.put(0, "abc")
        turns = iter((True, False, True))
        self.assertEqual(self.disk.lose_power(lambda: next(turns)), (1, 3))
        self.assertEqual(self.shown(), "a-c-----")
        # What the loss has left is what there is from now on.
        self.assertEqual(self.disk.lose_power(), (0, 0))
        self.assertEqual(self.shown(), "a-c-----")

    def test_an_older_writing_may_be_what_is_left(self):
        self.put(0, "a")
        self.put(0, "b")
        turns = iter((True, False))
        self.disk.lose_power(lambda: next(turns))
        self.assertEqual(self.shown(), "a-------")

    def test_a_disk_that_keeps_its_power_keeps_all(self):
        self.put(0, "ab")
        self.assertEqual(self.disk.keep_cache(), 2)
        self.assertEqual(self.disk.lose_power(), (0, 0))
        self.assertEqual(self.shown(), "ab------")


class Client:
    """As qemu speaks."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.take(18)
        self.socket.sendall(struct.pack(">I", disk.FLAG_FIXED_NEWSTYLE | disk.FLAG_NO_ZEROES))

    def close(self):
        self.socket.close()

    def take(self, length):
        return self.socket.recv(length, socket.MSG_WAITALL)

    def option(self, option, data=b""):
        """Its replies, to the last."""
        self.socket.sendall(struct.pack(">QII", disk.OPTION_MAGIC, option, len(data)) + data)
        replies = []
        while not replies or replies[-1][0] == disk.REPLY_INFO:
            _, _, kind, length = struct.unpack(">QIII", self.take(20))
            replies.append((kind, self.take(length) if length else b""))
        return replies

    def request(self, kind, offset=0, length=0, data=b"", replied=0):
        self.socket.sendall(struct.pack(">IHHQQI", disk.REQUEST_MAGIC, 0, kind, 77, offset,
                                        length) + data)
        magic, error, handle = struct.unpack(">IIQ", self.take(16))
        assert (magic, handle) == (disk.REPLY_MAGIC, 77)
        return error, self.take(replied) if replied else b""


class ServerTest(WithDisk):
    def setUp(self):
        super().setUp()
        self.server = Server(self.disk, f"{self.directory.name}/socket")

    def connect(self):
        client = Client(f"{self.directory.name}/socket")
        self.assertEqual(client.option(8), [(disk.REPLY_UNSUPPORTED, b"")])
        (kind, export), (_, sizes), (last, _) = client.option(disk.OPTION_GO, bytes(6))
        self.assertEqual((kind, last), (disk.REPLY_INFO, disk.REPLY_ACK))
        self.assertEqual(struct.unpack(">HQH", export)[1], BLOCKS * BLOCK)
        self.assertEqual(struct.unpack(">HIII", sizes)[1], BLOCK)
        return client

    def test_what_is_written_is_read_and_a_flush_is_one(self):
        client = self.connect()
        self.assertEqual(client.request(disk.WRITE, BLOCK, BLOCK, block("a")), (0, b""))
        self.assertEqual(client.request(disk.FLUSH), (0, b""))
        self.assertEqual(client.request(disk.WRITE, 2 * BLOCK, BLOCK, block("b")), (0, b""))
        self.assertEqual(client.request(disk.READ, BLOCK, 2 * BLOCK, replied=2 * BLOCK),
                         (0, block("a") + block("b")))
        client.close()
        self.server.join(10)
        self.assertEqual((self.disk.flushes, self.disk.lose_power()), (1, (1, 1)))
        self.assertEqual(self.shown(), "-a------")

    def test_what_is_no_whole_block_or_beyond_the_end_is_refused(self):
        client = self.connect()
        for offset, length in ((1, BLOCK), (0, 512), (BLOCKS * BLOCK, BLOCK)):
            self.assertEqual(client.request(disk.READ, offset, length)[0], disk.EINVAL)
        client.close()
        self.server.join(10)

    def test_half_a_request_never_was(self):
        client = self.connect()
        client.socket.sendall(struct.pack(">IHHQQI", disk.REQUEST_MAGIC, 0, disk.WRITE, 1, 0,
                                          BLOCK) + b"half")
        client.close()
        self.server.join(10)
        self.assertEqual(self.shown(), "-" * BLOCKS)

    def test_one_that_nobody_came_to_ends(self):
        self.server.join(10)
        self.assertFalse(self.server.is_alive())

    def test_what_is_no_protocol_is_told(self):
        client = self.connect()
        client.socket.sendall(bytes(28))
        with self.assertRaises(ValueError):
            self.server.join(10)
        client.close()


def record(identity, **changes):
    return {"id": identity, "state": "exited", "reason": "exited", "cpu_usec": 5, **changes}


def books(cpu_time, executions, kernel):
    return {"cpu_time": cpu_time, "executions": executions, "records": executions,
            "unattributed": 0, "attributed": cpu_time, "kernel": kernel, "negative": []}


CUT_USEC = 50_000_000
WORK = [
    ["ready", 100],
    ["begin", ["acme", "create", "acme"]], ["durable", ["acme", "create", "acme"]],
    ["begin", ["acme", "rename", "Acme"]], ["durable", ["acme", "rename", "Acme"]],
    ["begin", ["acme", "suspend", None]], ["durable", ["acme", "suspend", None]],
    ["begin", ["gone", "create", "gone"]], ["durable", ["gone", "create", "gone"]],
    ["begin", ["gone", "delete", None]], ["durable", ["gone", "delete", None]],
    ["begin", ["half", "create", "half"]],
    ["event", {"seq": 2, "kind": "created", "tenant": "acme"}],
    ["accepted", 3_000_000, record("early")],
    ["accepted", CUT_USEC - COMMIT_WINDOW_USEC, record("late")],
    ["tick", CUT_USEC],
]
SEEN = {
    "boot_id": "b2", "status": [0, "{}"], "integrity": "ok\n", "errors": [],
    "tenants": [{"id": "1", "name": "acme", "status": "suspended", "display_name": "Acme"}],
    "executions": [record("early")],
    "events": [{"seq": 1, "kind": "restarted"}, {"seq": 2, "kind": "created", "tenant": "acme"}],
    "slots": {"1": "acme"}, "stored": ["1"],
    "used": {"acme": {"before": books(10, 1, 0), "after": books(17, 2, 7),
                      "ran": [0, "used\n", ""]}},
    "epochs": ["b1", "b2"],
}


class JudgeTest(unittest.TestCase):
    def setUp(self):
        self.promises = Promises()
        self.promises.boots = ["b1"]
        for line in WORK:
            self.promises.hear(copy.deepcopy(line))
        self.seen = copy.deepcopy(SEEN)

    def expect_wrong(self, about):
        with self.assertRaisesRegex(Wrong, about):
            copy.deepcopy(self.promises).judge(self.seen)

    def test_what_was_promised_is_enough(self):
        self.assertEqual(self.promises.judge(self.seen), 1)
        self.assertEqual(self.promises.counts, {"durable": 5, "accepted": 2, "events": 1,
                                                "missing": 1})
        self.assertEqual(self.promises.oldest_missing_usec, COMMIT_WINDOW_USEC)

    def test_what_had_only_begun_may_be_there(self):
        self.seen["tenants"].append({"id": "2", "name": "half", "status": "active",
                                     "display_name": "half"})
        self.seen["slots"]["2"] = "half"
        self.seen["used"]["half"] = {"before": books(0, 0, 0), "after": books(7, 1, 7),
                                     "ran": [0, "used\n", ""]}
        self.promises.judge(self.seen)

    def test_a_tenant_that_is_missing_is_noticed(self):
        self.seen["tenants"], self.seen["slots"], self.seen["stored"] = [], {}, []
        self.expect_wrong("acme is None")

    def test_a_change_that_is_missing_is_noticed(self):
        self.seen["tenants"][0]["display_name"] = "acme"
        self.expect_wrong("not any of")

    def test_a_deletion_that_is_missing_is_noticed(self):
        self.seen["tenants"].append({"id": "2", "name": "gone", "status": "active",
                                     "display_name": "gone"})
        self.expect_wrong("gone is")

    def test_a_half_made_tenant_is_noticed(self):
        self.seen["tenants"].append({"id": "2", "name": "half", "status": "creating",
                                     "display_name": "half"})
        self.expect_wrong("half is")

    def test_a_tenant_of_nobodys_is_noticed(self):
        self.seen["tenants"].append({"id": "2", "name": "x", "status": "active",
                                     "display_name": "x"})
        self.expect_wrong("nobody has made")

    def test_a_slot_and_a_directory_that_are_left_are_noticed(self):
        self.seen["slots"]["2"] = "half"
        self.expect_wrong("slots and tenants")
        del self.seen["slots"]["2"]
        self.seen["stored"].append("2")
        self.expect_wrong("stored for no tenant")

    def test_a_tenant_that_cannot_be_used_is_noticed(self):
        self.seen["used"]["acme"]["ran"] = [125, "", "refused"]
        self.expect_wrong("cannot be used")

    def test_an_end_accepted_before_the_last_window_is_noticed(self):
        self.seen["executions"] = []
        self.expect_wrong("early was accepted")

    def test_an_early_end_of_which_nobody_knows_how_is_noticed(self):
        self.seen["executions"] = [record("early", reason="unknown")]
        self.expect_wrong("early was accepted")

    def test_a_late_end_of_which_nobody_knows_how_is_one_that_is_missing(self):
        self.seen["executions"].append(record("late", reason="unknown"))
        self.assertEqual(self.promises.judge(self.seen), 1)

    def test_the_margin_has_an_end(self):
        self.promises.hear(["tick", CUT_USEC + MARGIN_USEC + 1])
        self.expect_wrong("late was accepted")

    def test_another_record_is_noticed(self):
        self.seen["executions"][0]["cpu_usec"] = 6
        self.expect_wrong("another record")

    def test_something_that_seems_to_run_is_noticed(self):
        self.seen["executions"].append(record("late", state="running"))
        self.expect_wrong("nobody has launched")

    def test_events_that_are_missing_or_others_are_noticed(self):
        self.seen["events"].pop()
        self.expect_wrong("event 2")
        self.seen["events"].append({"seq": 2, "kind": "deleted", "tenant": "acme"})
        self.expect_wrong("event 2")
        self.seen["events"][1]["seq"] = 3
        self.expect_wrong("gaps")

    def test_a_damaged_store_and_a_complaint_are_noticed(self):
        self.seen["integrity"] = "row 7 missing from index\n"
        self.expect_wrong("damaged")
        self.seen["integrity"] = "ok\n"
        self.seen["errors"] = [{"MESSAGE": "cannot go on"}]
        self.expect_wrong("complained")
        self.seen["errors"], self.seen["status"] = [], [1, "degraded"]
        self.expect_wrong("not well")

    def test_the_same_boot_is_no_power_loss(self):
        self.seen["boot_id"] = "b1"
        self.expect_wrong("no other boot")

    def expect_wrong_books(self, about, when, **changes):
        self.seen = copy.deepcopy(SEEN)
        self.seen["used"]["acme"][when].update(changes)
        self.expect_wrong(about)

    def test_figures_that_do_not_add_up_are_noticed(self):
        self.expect_wrong_books("the sum", "before", cpu_time=11)
        self.expect_wrong_books("the sum", "before", attributed=12, unattributed=-2)
        self.expect_wrong_books("negative", "after", negative=[record("x", cpu_usec=-1)])
        self.expect_wrong_books("records", "before", executions=2)
        self.expect_wrong_books("not what was added", "after", kernel=8)
        self.expect_wrong_books("as one", "after", executions=3, records=3)
        self.expect_wrong_books("counted anew", "before", kernel=100)

    def test_totals_that_shrink_are_noticed(self):
        self.promises.figures["acme"] = books(11, 1, 0)
        self.expect_wrong("has shrunk")

    def test_an_epoch_of_another_boot_is_noticed(self):
        self.seen["epochs"] = ["b1"]
        self.expect_wrong("not of this boot")
        self.seen["epochs"] = ["b1", "b2", "b0"]
        self.expect_wrong("was not")

    def test_what_has_been_seen_after_a_boot_must_stay(self):
        self.promises.judge(copy.deepcopy(SEEN))
        self.promises.hear(["tick", 100])
        self.seen["boot_id"] = "b3"
        self.seen["executions"] = []
        self.seen["tenants"][0]["status"] = "active"
        self.expect_wrong("early was accepted")

    def test_work_that_fails_is_noticed(self):
        with self.assertRaisesRegex(Wrong, "the work failed"):
            self.promises.hear(["failed", "no space"])


if __name__ == "__main__":
    unittest.main()
