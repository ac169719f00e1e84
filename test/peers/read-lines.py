"""Reads a file of Low Carbon London's form, in the zone given, line by line and strictly, without the project's code.

Usage: read-lines.py FILE ZONE METER…    Prints "line meter start_s energy_milli_wh" for every line that holds a reading.
"""
import csv
import re
import sys
from datetime import datetime, timedelta, timezone
from decimal import ROUND_FLOOR, Decimal
from zoneinfo import ZoneInfo

STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", re.ASCII)
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
MAX_LINE_BYTES = 64 * 1024


def fields_of(text):
    if '"' not in text:
        return text.split(",")
    rows = list(csv.reader([text], strict=True))
    # What csv lets pass: a quote within a field that does not begin with one.
    if re.search(r'(^|,)[^",]+"', text):
        raise ValueError("a quote within a field")
    return rows[0]


def instant(text, zone):
    if not STAMP.fullmatch(text) or text < "1900":
        raise ValueError("stamp")
    if text.endswith("24:00:00"):
        local = datetime.strptime(text[:10], "%Y-%m-%d") + timedelta(days=1)
    else:
        local = datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    start = local.replace(tzinfo=zone).astimezone(timezone.utc)
    if start.astimezone(zone).replace(tzinfo=None) != local:
        raise ValueError("a time that does not exist")
    return int(start.timestamp())


def main(path, zone_name, *meters):
    zone = ZoneInfo(zone_name)
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")
    for number, line in enumerate(lines[1:], start=2):
        try:
            if len(line) > MAX_LINE_BYTES:
                raise ValueError("too long")
            fields = fields_of(line.removesuffix(b"\r").decode("utf-8", "replace"))
            meter, stamp, value = (field.strip() for field in fields)
            if meter not in meters or not NUMBER.fullmatch(value):
                raise ValueError("meter or value")
            energy = (Decimal(value) * 1_000_000 + Decimal("0.5")).to_integral_value(ROUND_FLOOR)
            if abs(energy) >= 2**52:
                raise ValueError("out of range")
            print(number, meter, instant(stamp, zone), int(energy))
        except (ValueError, ArithmeticError, csv.Error):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
