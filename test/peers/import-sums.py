"""Sums of the real files, computed without any of the project's code: whole numbers and decimals only.

Usage: import-sums.py lcl FOLDER | uci FILE OMIT_FILE | heat FILE
Prints JSON: for every point its sums at 300, 900, 3600 and 86400 s in milliwatt-hours (of each width the number of
windows, their total, and the SHA-256 of "start energy" lines by start in UTC epoch s; of days each sum), the number of
readings, doubles, missing readings, gaps and the longest gap (s).
"""
import csv
import gzip
import json
import sys
from datetime import datetime, timezone
from decimal import ROUND_FLOOR, Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path

WIDTHS = (900, 3600, 86400)


def seconds(text, offset_hours=0):
    day, time = text.split(" ")
    hour, minute, second = time.split(":")
    return midnight(day) + (int(hour) - offset_hours) * 3600 + int(minute) * 60 + int(second)


@cache
def midnight(day):
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=timezone.utc).timestamp())


def nearest(over, under):
    """Whole number nearest to over / under, ties upwards."""
    return (2 * over + under) // (2 * under)


def milli_watt_hours(text):
    """Whole milliwatt-hours nearest to a decimal of kWh, ties upwards."""
    return int((Decimal(text) * 1_000_000 + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


def wider(five_minutes):
    sums = {300: five_minutes}
    for width in WIDTHS:
        sums[width] = {}
        for start, energy in five_minutes.items():
            at = start - start % width
            sums[width][at] = sums[width].get(at, 0) + energy
    told = {width: digest(windows) for width, windows in sums.items()}
    told[86400]["windows"] = sums[86400]
    return told


def digest(windows):
    lines = "\n".join(f"{start} {windows[start]}" for start in sorted(windows))
    return {"count": len(windows), "total": sum(windows.values()), "sha256": sha256(lines.encode()).hexdigest()}


def counts(stamps, interval):
    seen = set()
    doubles = 0
    for stamp in stamps:
        doubles += stamp in seen
        seen.add(stamp)
    ordered = sorted(seen)
    missing = gaps = longest = 0
    for before, after in zip(ordered, ordered[1:]):
        lost = (after - before) // interval - 1
        if lost > 0:
            missing += lost
            gaps += 1
            longest = max(longest, lost * interval)
    return {"readings": len(stamps), "doubles": doubles, "missing": missing, "gaps": gaps, "longest": longest}


def spread(curve, start, end, energy):
    """Adds an interval's energy to its five-minute windows: the cumulative curve rounded at each edge, then differenced."""
    before = 0
    edge = start - start % 300 + 300
    at = start
    while at < end:
        until = min(edge, end)
        after = nearest(energy * (until - start), end - start)
        window = at - at % 300
        curve[window] = curve.get(window, 0) + after - before
        before, at, edge = after, until, edge + 300


def lcl(folder):
    points = {}
    for path in sorted(Path(folder).glob("*.csv.gz")):
        with gzip.open(path, "rt") as file:
            for row in csv.DictReader(file):
                energy = milli_watt_hours(row["energy(kWh/hh)"].strip())
                points.setdefault(row["LCLid"], []).append((seconds(row["tstp"]), energy))
    result = {}
    for meter, readings in points.items():
        five_minutes = {}
        for start, energy in readings:
            spread(five_minutes, start, start + 1800, energy)
        result[meter] = {"sums": wider(five_minutes), **counts([start for start, _ in readings], 1800)}
    return result


def uci(path, omit_path):
    omitted = set()
    with open(omit_path) as file:
        for row in csv.DictReader(file):
            first, last = seconds(row["first_minute"], 1), seconds(row["last_minute"], 1)
            omitted.update(range(first, last + 60, 60))
    watt_minutes, energies, stamps = {}, {}, []
    left_out = 0
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            start = seconds(row["date_time"], 1)
            if start in omitted:
                left_out += 1
                continue
            stamps.append(start)
            window = start - start % 300
            watts = int(Decimal(row["Global_active_power"]) * 1000)
            watt_minutes[window] = watt_minutes.get(window, 0) + watts
            energy = int(Decimal(row["Sub_metering_3"]) * 1000)
            energies[window] = energies.get(window, 0) + energy
    # A watt for a minute is 1000/60 mWh.
    power = {window: nearest(total * 1000, 60) for window, total in watt_minutes.items()}
    shared = {**counts(stamps, 60), "omitted": left_out}
    return {
        "grid-import": {"sums": wider(power), **shared},
        "water-heater-and-cooling": {"sums": wider(energies), **shared},
    }


def heat(path):
    readings = []
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            stamp = seconds(row["time_rounded"].replace("T", " ").rstrip("Z"))
            readings.append((stamp, milli_watt_hours(row["energy_heat_kwh"])))
    five_minutes = {}
    for (start, before), (end, after) in zip(readings, readings[1:]):
        spread(five_minutes, start, end, after - before)
    return {"heating": {"sums": wider(five_minutes), **counts([start for start, _ in readings], 3600)}}


if __name__ == "__main__":
    json.dump({"lcl": lcl, "uci": uci, "heat": heat}[sys.argv[1]](*sys.argv[2:]), sys.stdout)
