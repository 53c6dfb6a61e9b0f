#!/usr/bin/env python3
"""Gradients under each codec beside the exact ones, as Markdown tables (METHODS E.15).

    fidelity.py BINARY DATA [--network NAME:BATCH:BATCHES ...] [--codecs "A B ..."]
                [--warm-up STEPS] [--seed N] [--keep FOLDER]

BINARY is the program `pocketprop`, DATA a data set as --data takes it. A policy is a codec, with
overrides behind semicolons: raw;@activation=group:4 codes what no batch-norm precedes and nothing
else. A policy that the binary does not know is left out, with a word on stderr. Per network and
policy one run of `pocketprop fidelity`, always on the same weights and batches. First table: all
gradients together. Second: cosines of the convolutions' weight gradients by their place in the
network, where the first convolution of each stage but the first, and its shortcut, shrink the map.
With --keep the JSON of each run stays in FOLDER, and runs found there are not repeated.
"""
import argparse
import json
import os
import re
import subprocess
import sys

CODECS = """half norm:8 norm:6 norm:5 norm:4 norm:4,lloyd norm:3 norm:2 norm:2,lloyd norm:1
raw;@activation=group:4 raw;@activation=group:2 btc:2 btc:4 btc:8 avgpool:2 avgpool:4
avgpool:2+group:4 pool:8+residual:2 bitmap"""


def options_of(policy):
    codec, *overrides = policy.split(";")
    return ["--codec", codec, *(word for text in overrides for word in ("--override", text))]


def is_known(arguments, policy):
    command = [arguments.binary, "plan", "--model", "resnet20", *options_of(policy), "--json"]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        return True
    print(f"{arguments.binary} has no policy {policy}", file=sys.stderr)
    return False


def measure(arguments, network, codec):
    model, batch, batches = network.split(":")
    path = None
    if arguments.keep:
        os.makedirs(arguments.keep, exist_ok=True)
        path = os.path.join(arguments.keep, f"{network}-{arguments.warm_up}-{arguments.seed}-{codec}.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return json.load(file)
    command = [arguments.binary, "fidelity", "--model", model, "--data", arguments.data,
               *options_of(codec), "--batch", batch, "--batches", batches, "--warm-up",
               arguments.warm_up, "--seed", arguments.seed, "--json"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    if path:
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".part", path)
    return json.loads(text)


def place(parameter):
    """Where a convolution's weight stands, or None: the first convolution and other parameters."""
    found = re.match(r"layer(\d)\.(\d+)\.(conv\d|downsample\.0)\.weight$", parameter["name"])
    if not found:
        return None
    stage, block, kind = found.groups()
    if not kind.startswith("conv"):
        return f"shortcut of stage {stage}"
    if stage == "1":
        return "stage 1"
    first = block == "0" and kind == "conv1"
    return f"{'first' if first else 'rest'} of stage {stage}"


def mean(values):
    return sum(values) / len(values) if values else float("nan")


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def number(value):
    return "-" if value is None or value != value else f"{value:.4f}"


def tabulate(network, codecs, results):
    model, batch, batches = network.split(":")
    print(f"\n### {model}, batch {batch}, {batches} batches\n")
    row("codec", "cosine", "error", "bias", "spread", "saved, KB an image")
    print("|---|---|---|---|---|---|")
    for codec in codecs:
        result, overall = results[codec], results[codec]["overall"]
        row(codec, *(number(overall[key]) for key in ("cosine", "error", "bias", "spread")),
            f"{result['saved_stored_bytes'] / result['batch'] / 1e3:.1f}")
    print()
    places = list(dict.fromkeys(filter(None, map(place, results[codecs[0]]["parameters"]))))
    row("cosine of convolutions, mean", *places)
    print("|---" * (len(places) + 1) + "|")
    for codec in codecs:
        cosines = {name: [] for name in places}
        for parameter in results[codec]["parameters"]:
            name = place(parameter)
            if name and parameter["cosine"] is not None:
                cosines[name].append(parameter["cosine"])
        row(codec, *(number(mean(cosines[name])) for name in places))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary")
    parser.add_argument("data")
    parser.add_argument("--network", action="append", metavar="NAME:BATCH:BATCHES",
                        help="resnet20:64:4 and preresnet164:32:2 by default")
    parser.add_argument("--codecs", default=CODECS)
    parser.add_argument("--warm-up", default="50", metavar="STEPS", help="of exact training")
    parser.add_argument("--seed", default="1", help="of weights, batches and draws; the warm-up's path too")
    parser.add_argument("--keep", metavar="FOLDER")
    arguments = parser.parse_args()
    codecs = [codec for codec in arguments.codecs.split() if is_known(arguments, codec)]
    for network in arguments.network or ["resnet20:64:4", "preresnet164:32:2"]:
        tabulate(network, codecs, {codec: measure(arguments, network, codec) for codec in codecs})


if __name__ == "__main__":
    sys.exit(main())
