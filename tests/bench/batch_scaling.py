#!/usr/bin/env python3
"""Images per second of a training step at growing batches.

    python3 tests/bench/batch_scaling.py BUILD/pocketprop [--model resnet20] [--batches 1,4,16,64,128] [--repeats 5]

Every repeat runs all batches, one process each, so that a slow moment of the machine falls on all of them; a batch's
figure is the median of its repeats. A larger batch should never need more time for an image than a smaller one; where
one does, its row says so.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys


def run(options, batch, steps):
    pinned = ["taskset", "-c", options.cores] if options.cores else []
    command = [options.pocketprop, "bench", "step", "--model", options.model, "--codec", options.codec, "--batch",
               str(batch), "--steps", str(steps), "--json"]
    environment = dict(os.environ)
    if options.cores:  # PoCL starts a thread for every processor of the machine, however few it may run on
        environment["POCL_MAX_PTHREAD_COUNT"] = str(len(options.cores.split(",")))
    result = subprocess.run(pinned + command, capture_output=True, text=True, env=environment)
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
    return json.loads(result.stdout)


def measure(options, batches):
    """Per batch: the median time of a step and its spread over the repeats, in ms, and the peak in bytes."""
    steps = {batch: max(3, int(1000 * options.seconds / run(options, batch, 3)["median_ms"])) for batch in batches}
    results = {batch: [] for batch in batches}
    for _ in range(options.repeats):
        for batch in batches:
            results[batch].append(run(options, batch, steps[batch]))
    rows = []
    for batch in batches:
        times = [result["median_ms"] for result in results[batch]]
        rows.append({"batch": batch, "step_ms": statistics.median(times), "step_ms_min": min(times),
                     "step_ms_max": max(times), "peak_bytes": results[batch][0]["peak_device_bytes"]})
    return rows


def print_rows(options, rows):
    print(f"{options.model}, {options.codec}, cores {options.cores or 'all'}, medians of {options.repeats} repeats\n")
    print("| batch | ms a step | ms an image | images a second | peak, MB | |\n|---|---|---|---|---|---|")
    least = None
    for row in rows:
        image_ms = row["step_ms"] / row["batch"]
        slower = least is not None and image_ms > least
        note = f"slower for an image than a smaller batch by {100 * (image_ms / least - 1):.1f} %" if slower else ""
        print(f"| {row['batch']} | {row['step_ms']:.2f} ({row['step_ms_min']:.2f} to {row['step_ms_max']:.2f}) | "
              f"{image_ms:.3f} | {1000 / image_ms:.0f} | {row['peak_bytes'] / 1e6:.1f} | {note} |")
        least = image_ms if least is None else min(least, image_ms)


def main():
    parser = argparse.ArgumentParser(description="Images per second of a training step at growing batches.")
    parser.add_argument("pocketprop")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--codec", default="raw")
    parser.add_argument("--batches", default="1,4,16,64,128")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="of timed steps in a run, about")
    parser.add_argument("--cores", default="0,1", help="'' pins nothing")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options, [int(batch) for batch in options.batches.split(",")])
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print_rows(options, rows)


if __name__ == "__main__":
    main()
