#!/usr/bin/env python3
"""Budgets from the smallest that can be met to what raw takes, each trained with and measured.

    budget_sweep.py BINARY DATA [--html FILE] [--steps N] [--pairs N] [--json FILE] -- OPTIONS

BINARY is the program `pocketprop`, DATA a data set as --data takes it, OPTIONS make the network, e.g.
--model resnet18 --height 224 --width 224 --batch 8. Ten equal steps, eleven points. Of each:

  peaks     of `bench step` with the budget; a plan over its budget, or a real peak other than the
            planned one, ends the run with status 1
  time      medians of --pairs runs in turn with raw's; a run is --steps steps behind three others
  gradients `fidelity` with the decisions that the timed plan saved: cosine and error of all
            gradients beside exact ones, 2 batches after ten exact steps

The table goes to standard output, with --html also a page with the curves: inline SVG, no network.
resnet18 at 224x224 with batch 8 takes about ten minutes on two cores.
"""
import argparse
import html
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile

POINTS = 11
COLUMNS = ("budget, MB", "planned peak", "real peak", "step, ms", "beside raw", "cosine", "error")


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)


def run_json(command):
    result = run(command)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return json.loads(result.stdout)


def bench(arguments, *options):
    return run_json([arguments.binary, "bench", "step", *arguments.options, *options, "--steps",
                     str(arguments.steps), "--json"])


def smallest_budget(arguments):
    """In the words with which a budget of one byte is refused. Plans of `bench` are for the device."""
    result = run([arguments.binary, "bench", "step", *arguments.options, "--budget", "1"])
    found = re.search(r" takes (\d+)$", result.stderr, re.MULTILINE)
    if result.returncode != 2 or not found:
        sys.exit(f"a budget of one byte was not refused as expected:\n{result.stderr}")
    return int(found.group(1))


def measure(arguments, budget, policy):
    ours, raw = [], []
    decide = ["--budget", str(budget), "--save-policy", policy]
    for _ in range(arguments.pairs):
        raw.append(bench(arguments, "--codec", "raw"))
        ours.append(bench(arguments, *decide))
        decide = ["--policy", policy]
    for step in ours:
        planned, real = step["planned_peak_bytes"], step["peak_device_bytes"]
        if planned > budget or planned != real or planned != ours[0]["planned_peak_bytes"]:
            sys.exit(f"budget {budget}, planned {planned}, real {real}")
    gradients = run_json([arguments.binary, "fidelity", "--data", arguments.data, *arguments.options, "--policy", policy,
                          "--batches", "2", "--warm-up", "10", "--json"])["overall"]
    return {"budget": budget, "planned": ours[0]["planned_peak_bytes"], "real": ours[0]["peak_device_bytes"],
            "ms": statistics.median(step["median_ms"] for step in ours),
            "ratio": statistics.median(a["median_ms"] / b["median_ms"] for a, b in zip(ours, raw)),
            "cosine": gradients["cosine"], "error": gradients["error"]}


def cells(point):
    return (f"{point['budget'] / 1e6:.1f}", f"{point['planned'] / 1e6:.1f}", f"{point['real'] / 1e6:.1f}",
            f"{point['ms']:.1f}", f"{point['ratio']:.2f}", f"{point['cosine']:.4f}", f"{point['error']:.3f}")


def print_row(values):
    print("| " + " | ".join(values) + " |", flush=True)


def ticks(low, high):
    """About five round numbers from low to high."""
    rough = (high - low) / 5 or 1
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def curve(points, title, value, least, most):
    """One plot: `value` of each point over the budget in MB."""
    left, top, width, height = 60, 30, 420, 180
    budgets = [point["budget"] / 1e6 for point in points]
    low, high = budgets[0], budgets[-1]

    def x(budget):
        return left + width * (budget - low) / ((high - low) or 1)

    def y(number):
        return top + height * (most - number) / ((most - least) or 1)

    places = [(x(budget), y(value(point)), point) for budget, point in zip(budgets, points)]
    parts = [f'<svg viewBox="0 0 500 250" role="img" aria-label="{html.escape(title)}">',
             f'<text x="{left}" y="16" class="title">{html.escape(title)}</text>']
    for tick in ticks(least, most):
        parts.append(f'<path class="grid" d="M{left} {y(tick):.1f}h{width}"/>'
                     f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in ticks(low, high):
        parts.append(f'<path class="grid" d="M{x(tick):.1f} {top}v{height}"/>'
                     f'<text x="{x(tick):.1f}" y="{top + height + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{left + width}" y="{top + height + 34}" text-anchor="end">budget, MB</text>')
    parts.append('<polyline points="' + " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in places) + '"/>')
    parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4"><title>{html.escape(describe(point))}</title></circle>'
              for a, b, point in places]
    return "\n".join(parts + ["</svg>"])


def describe(point):
    return ", ".join(f"{name} {cell}" for name, cell in zip(COLUMNS, cells(point)))


STYLE = """:root{color-scheme:light dark;--line:#1f77b4;--grid:#8884}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
svg{width:100%;max-width:31rem;font-size:12px;fill:currentColor}.title{font-weight:600}
.grid{stroke:var(--grid);fill:none}polyline{stroke:var(--line);stroke-width:2;fill:none}circle{fill:var(--line)}
table{border-collapse:collapse}td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--grid)}"""


def write_page(path, subject, points):
    slowest = max(1.1, max(point["ratio"] for point in points))
    fastest = min(0.9, min(point["ratio"] for point in points))
    least = min(0.95, min(point["cosine"] for point in points))
    peak = max(point["planned"] for point in points) / 1e6
    plots = [curve(points, "peak of a step, MB (planned and real)", lambda p: p["real"] / 1e6, 0, peak),
             curve(points, "time of a step, raw = 1", lambda p: p["ratio"], fastest, slowest),
             curve(points, "cosine of all gradients with the exact ones", lambda p: p["cosine"], least, 1)]
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells(point)) + "</tr>" for point in points)
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    title = html.escape(subject)
    with open(path + ".part", "w", encoding="utf-8") as file:
        file.write(f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n<style>{STYLE}</style>\n'
                   f"<h1>Budgets: {title}</h1>\n" + "\n".join(plots) +
                   f"\n<table><tr>{head}</tr>{rows}</table>\n</html>\n")
    os.replace(path + ".part", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0],
                                     usage="%(prog)s BINARY DATA [--html FILE] [--json FILE] [--steps N] [--pairs N] "
                                           "-- OPTIONS")
    parser.add_argument("binary")
    parser.add_argument("data")
    parser.add_argument("--html", metavar="FILE")
    parser.add_argument("--json", metavar="FILE", help="the points as numbers")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=3)
    words = sys.argv[1:] + ([] if "--" in sys.argv else ["--"])
    end = words.index("--")
    arguments = parser.parse_args(words[:end])
    arguments.options = words[end + 1:]
    raw = bench(arguments, "--codec", "raw")
    low, high = smallest_budget(arguments), raw["planned_peak_bytes"]
    subject = f"{raw['model']}, batch {raw['batch']}, on {raw['device']}"
    print(f"{subject}: budgets from {low} to {high} bytes\n")
    print_row(COLUMNS)
    print("|---" * len(COLUMNS) + "|")
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(POINTS):
            budget = low + (high - low) * number // (POINTS - 1)
            points.append(measure(arguments, budget, os.path.join(folder, "policy")))
            print_row(cells(points[-1]))
            if arguments.html:
                write_page(arguments.html, subject, points)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(points, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
