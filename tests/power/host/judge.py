# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was acknowledged, what is there after the power has gone, and whether that goes together.

Pure computation on what guest/work.py says and guest/look.py sees; tests/power/test_host.py has
it notice each thing that must not be.
"""

# tenantd.yaml is not changed, so it is the default.
COMMIT_WINDOW_USEC = 20_000
# That is when the disk is asked to write, not when it has: an emulated machine, on a host that
# does other things too, takes its time to come to it.
MARGIN_USEC = 1_000_000


class Wrong(Exception):
    """A promise that was not kept."""


def expect(condition, text, *details):
    if not condition:
        raise Wrong(text + "".join(f"\n  {detail}" for detail in details))


def after(op, value, state):
    """What a tenant is, (status, display name) or None, when this has been done to it."""
    if op == "create":
        return "active", value
    if op == "delete":
        return None
    status, display_name = state
    if op == "rename":
        return status, value
    return {"suspend": "suspended", "resume": "active"}[op], display_name


class Promises:
    """What holds for one disk, over all that happens to it."""

    def __init__(self):
        self.tenants = {}  # name: what it may be, the last acknowledged first
        self.executions = {}  # id: (when it was accepted at the latest, its record)
        self.events = {}  # seq: the event
        self.figures = {}  # name: its totals, as they have been seen
        self.boots = []
        self.counts = {"durable": 0, "accepted": 0, "events": 0, "missing": 0}
        self.oldest_missing_usec = 0
        self._now_usec = None  # in the guest, at least, when the power went

    def hear(self, line):
        """A line of work.py."""
        kind, *rest = line
        if kind in ("ready", "tick"):
            self._now_usec = rest[0]
        elif kind == "begin":
            name, op, value = rest[0]
            known = self.tenants.get(name, [None])
            self.tenants[name] = [known[0], after(op, value or name, known[0])]
        elif kind == "durable":
            name, op, value = rest[0]
            self.tenants[name] = [after(op, value or name, self.tenants[name][0])]
            self.counts["durable"] += 1
        elif kind == "accepted":
            self.executions[rest[1]["id"]] = tuple(rest)
            self.counts["accepted"] += 1
        elif kind == "event":
            self.events[rest[0]["seq"]] = rest[0]
            self.counts["events"] += 1
        else:
            raise Wrong(f"the work failed: {line}")

    def judge(self, seen):
        """Wrong, or what has been seen is what holds from now on. Gives how many accepted ends
        are missing."""
        expect(seen["integrity"] == "ok\n", "the store is damaged", seen["integrity"])
        expect(seen["status"][0] == 0, "the daemon is not well", seen["status"][1])
        expect(seen["errors"] == [], "the daemon has complained", *seen["errors"])
        expect(seen["boot_id"] not in self.boots, "this is no other boot")
        self._judge_tenants(seen)
        missing = self._judge_executions(seen)
        self._judge_events(seen)
        self._judge_usage(seen)
        self.boots.append(seen["boot_id"])
        return missing

    def _judge_tenants(self, seen):
        there = {tenant["name"]: (tenant["status"], tenant["display_name"])
                 for tenant in seen["tenants"]}
        for name, may_be in self.tenants.items():
            expect(there.get(name) in may_be, f"{name} is {there.get(name)}, not any of {may_be}")
        expect(set(there) <= set(self.tenants), "there are tenants that nobody has made",
               set(there) - set(self.tenants))
        ids = {tenant["id"]: tenant["name"] for tenant in seen["tenants"]}
        expect(seen["slots"] == ids, "slots and tenants do not go together", seen["slots"], ids)
        expect(set(seen["stored"]) <= set(ids), "something is stored for no tenant",
               set(seen["stored"]) - set(ids))
        for name, used in seen["used"].items():
            expect(used["ran"] == [0, "used\n", ""], f"{name} cannot be used", used["ran"])
        # look.py has resumed what was suspended.
        self.tenants = {name: [("active", there[name][1]) if name in there else None]
                        for name in self.tenants}

    def _judge_executions(self, seen):
        there = {record["id"]: record for record in seen["executions"]}
        expect(all(record["state"] == "exited" for record in seen["executions"]),
               "something runs that nobody has launched",
               *(record for record in seen["executions"] if record["state"] != "exited"))
        missing = 0
        for identity, (accepted_usec, record) in list(self.executions.items()):
            if identity in there and there[identity]["reason"] != "unknown":
                expect(there[identity] == record, f"{identity} is another record now",
                       there[identity], record)
                # It has been seen after a boot: nothing may take it away any more.
                self.executions[identity] = (float("-inf"), record)
                continue
            # Its end is not there; that it began may be, and then nobody knows how it ended.
            age = self._now_usec - accepted_usec
            expect(age <= COMMIT_WINDOW_USEC + MARGIN_USEC,
                   f"{identity} was accepted {age} us before the power went and is lost", record)
            self.oldest_missing_usec = max(self.oldest_missing_usec, age)
            missing += 1
            del self.executions[identity]
        self.counts["missing"] += missing
        return missing

    def _judge_events(self, seen):
        there = {event["seq"]: event for event in seen["events"]}
        expect(sorted(there) == list(range(1, len(there) + 1)), "events have gaps", sorted(there))
        for seq, event in self.events.items():
            expect(there.get(seq) == event, f"event {seq} is another one now", there.get(seq),
                   event)
        self.events = there

    def _judge_usage(self, seen):
        for name, used in seen["used"].items():
            first, last = used["before"], used["after"]
            for figures in (first, last):
                self._judge_books(name, figures)
            was = self.figures.get(name, {"cpu_time": 0, "executions": 0})
            for meter in ("cpu_time", "executions"):
                expect(first[meter] >= was[meter], f"{name}: {meter} has shrunk", was, first)
            # A new boot counts from 0 again, and all that it counts is added.
            expect(first["kernel"] == 0, f"{name}: not counted anew", first)
            expect(last["cpu_time"] - first["cpu_time"] == last["kernel"] > 0,
                   f"{name}: what was counted after the boot is not what was added", first, last)
            expect(last["executions"] == first["executions"] + 1,
                   f"{name}: one execution was not counted as one", first, last)
            self.figures[name] = last
        epochs = set(seen["epochs"])
        if seen["used"]:
            expect(seen["boot_id"] in epochs, "what was counted is not of this boot", epochs)
        expect(epochs <= {seen["boot_id"], *self.boots}, "usage knows a boot that was not",
               epochs)

    @staticmethod
    def _judge_books(name, figures):
        expect(figures["negative"] == [], f"{name} has negative figures", *figures["negative"])
        expect(figures["unattributed"] >= 0 and
               figures["attributed"] + figures["unattributed"] == figures["cpu_time"],
               f"{name}: the sum is not what its parts are", figures)
        expect(figures["records"] == figures["executions"],
               f"{name}: as many executions as records", figures)
