# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bills: what the kernel and applications measured, at the prices of a book, exactly; and the same
whenever they are asked for."""

import csv
import io
import json
import time
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

PRICES = Path("/etc/tenantd/prices")
BUSY = "i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); done"


@pytest.fixture
def book(host):
    """book(currency, **prices): a price book of today, a price for each meter."""
    written = []

    def write(currency, **prices):
        name = f"test-{currency.lower()}"
        lines = [f"book: {name}", f"currency: {currency}", "valid_from: 2020-01-01", "prices:"]
        lines += [f"  {meter}: {json.dumps(price)}" for meter, price in prices.items()]
        PRICES.mkdir(exist_ok=True)
        path = PRICES / f"{name}.yaml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        written.append(path)
        host.ctl("policy", "reload")
        return f"prices/{name}.yaml"

    yield write
    for path in written:
        path.unlink()
    host.ctl("policy", "reload")


def tenant_in(host, currency):
    tenant = host.tenant()
    tenant.update("--currency", currency)
    return tenant


def bill(host, tenant, *opts):
    return host.ctl_json("bill", tenant.name, *opts)


def lines(said):
    return {line["meter"]: line for line in said["lines"]}


def costs(quantity, price, per, places):
    """By another arithmetic than ours."""
    minor = Decimal(quantity) * Decimal(price) / Decimal(per) * 10**places
    return int(minor.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def to_pay(said):
    """Of a period that goes on: what has no price may grow, as memory that a tenant keeps does."""
    return (said["subtotal"], said["books"],
            [line for line in said["lines"] if line["amount"] is not None])


def test_a_bill_is_what_the_kernel_counted_at_the_price_of_the_book(host, book):
    source = book("CHF", cpu_time={"price": "3.7", "per": "1s"},
                  executions={"price": "0.005"})
    tenant = tenant_in(host, "CHF")
    for _ in range(3):
        assert tenant.run(["sh", "-c", BUSY]).status == 0
    said = bill(host, tenant)
    kernel = tenant.stat("cpu.stat", "usage_usec")
    cpu, executions = lines(said)["cpu_time"], lines(said)["executions"]
    assert cpu["quantity"] == kernel > 0
    assert cpu["amount"] == costs(kernel, "3.7", 10**6, 2) > 0
    assert (cpu["price"], cpu["per"], cpu["source"]) == ("3.7", 10**6, f"{source}:5")
    # Three half rappen are one and a half, and half is away from zero.
    assert (executions["quantity"], executions["amount"]) == (3, 2)
    assert said["subtotal"] == cpu["amount"] + 2
    assert (said["currency"], said["exponent"], said["state"]) == ("CHF", 2, "open")
    assert said["start"] <= said["booked_until"] < said["end"]
    # What has no price is told, and costs nothing.
    unpriced = [line for line in said["lines"] if line["amount"] is None]
    assert {"execution_time", "memory_time"} <= {line["meter"] for line in unpriced}
    assert all(line["price"] is None and line["source"] is None for line in unpriced)


def test_a_bill_has_the_figures_of_usage(host, book):
    book("KWD", tokens={"price": "0.0005"}, cpu_time={"price": "1", "per": "1h"})
    tenant = tenant_in(host, "KWD")
    assert tenant.run(["sh", "-c", BUSY]).status == 0
    host.ctl("quota", "consume", tenant.name, "tokens", 3)
    host.ctl("quota", "consume", tenant.name, "api_calls", 4)
    host.ctl("quota", "acquire", tenant.name, "agents", 2)
    used = host.ctl_json("usage", tenant.name, "--totals")
    assert (used["meters"]["tokens"], used["meters"]["api_calls"]) == (3, 4)
    assert used["held"] == {"agents": 2}
    by_month = host.ctl_json("usage", tenant.name, "--by", "month")["periods"]
    assert [period["meters"]["tokens"] for period in by_month] == [3]
    said = bill(host, tenant)
    # Fils are the third place: 1.5 of them.
    assert (lines(said)["tokens"]["amount"], said["exponent"]) == (2, 3)
    assert lines(said)["api_calls"]["amount"] is None
    assert "agents" not in lines(said)
    # What memory a tenant keeps goes on to be counted.
    for meter in lines(said).keys() - {"memory_time"}:
        assert lines(said)[meter]["quantity"] == by_month[0]["meters"][meter], meter
    host.ctl("quota", "release", tenant.name, "agents", 2)


def test_the_same_ledger_and_books_make_the_same_bill(host, book):
    book("SEK", cpu_time={"price": "100", "per": "1h"}, tokens={"price": "1"})
    tenant = tenant_in(host, "SEK")
    assert tenant.run(["sh", "-c", BUSY]).status == 0
    host.ctl("quota", "consume", tenant.name, "tokens", 7)
    first = bill(host, tenant)
    assert to_pay(bill(host, tenant)) == to_pay(first)
    host.kill_controller()
    host.tier(tasks_max=9)
    assert to_pay(bill(host, tenant)) == to_pay(first)
    # One that is over for good is the same to the last byte, by either name.
    identity = tenant.show()["id"]
    host.ctl("delete", "--force", tenant.name)
    ended = host.ctl("bill", tenant.name, "--json").stdout
    assert json.loads(ended)["state"] == "ended"
    assert lines(json.loads(ended))["tokens"]["amount"] == 700
    time.sleep(1.1)
    assert host.ctl("bill", identity, "--json").stdout == ended
    assert host.ctl("bill", identity, "--json", "--period",
                    json.loads(ended)["period"]).stdout == ended


def test_nothing_needs_a_price_book_but_a_bill(host):
    tenant = tenant_in(host, "NOK")
    assert tenant.run(["true"]).status == 0
    assert host.ctl_json("usage", tenant.name, "--totals")["meters"]["executions"] == 1
    done = host.ctl("bill", tenant.name, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"no price book for NOK" in done.stderr and b"/etc/tenantd/prices" in done.stderr
    done = host.ctl("bill", tenant.name, "--json", check=False)
    assert json.loads(done.stderr)["error"] == "io.tenantd.InvalidState"


def test_a_period_is_a_month_that_has_begun(host, book):
    book("DKK", cpu_time={"price": "1", "per": "1h"})
    tenant = tenant_in(host, "DKK")
    assert bill(host, tenant, "--period", "2020-01") | {"tenant_id": ""} == {
        "tenant": tenant.name, "tenant_id": "", "period": "2020-01",
        "start": 1577836800000000, "end": 1580515200000000, "state": "ended",
        "booked_until": 1580515200000000, "currency": "DKK", "exponent": 2, "subtotal": 0,
        "books": bill(host, tenant)["books"], "lines": []}
    for period in ("2020-13", "2020", "9999-12", "now"):
        assert host.ctl("bill", tenant.name, "--period", period, check=False).returncode == 2


def test_a_table_and_csv_say_what_json_says(host, book):
    book("ISK", executions={"price": "12.5"})
    tenant = tenant_in(host, "ISK")
    assert tenant.run(["true"]).status == 0
    rows = list(csv.DictReader(io.StringIO(
        host.ctl("bill", tenant.name, "--csv").stdout.decode())))
    said = bill(host, tenant)
    assert [row["meter"] for row in rows] == [line["meter"] for line in said["lines"]]
    # Krónur have no places: 12.5 are 13.
    assert (rows[0]["meter"], rows[0]["price"], rows[0]["amount"], rows[0]["currency"]) == (
        "executions", "12.5", "13", "ISK")
    shown = host.ctl("bill", tenant.name).stdout.decode()
    assert "13 ISK" in shown and "not priced" in shown and "prices/test-isk.yaml:5" in shown
    assert shown.splitlines()[-1].split() == ["subtotal", "13", "ISK"]


def test_a_change_in_the_first_period_holds_for_it_and_the_currency_is_that_of_the_period(host, book):
    book("PLN", executions={"price": "1"})
    tenant = tenant_in(host, "PLN")
    assert tenant.run(["true"]).status == 0
    said = bill(host, tenant)
    assert (said["currency"], said["state"], said["subtotal"]) == ("PLN", "open", 100)
    # By its first day it is the same one.
    first_day = time.strftime("%Y-%m-%d", time.gmtime(said["start"] // 10**6))
    named = bill(host, tenant, "--period", first_day)
    assert (named["period"], named["start"]) == (said["period"], said["start"])
    done = host.ctl("bill", tenant.name, "--period", "2020-01-02", check=False)
    assert done.returncode == 2
    assert b"2020-01-02 is the name of none" in done.stderr
