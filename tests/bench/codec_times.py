#!/usr/bin/env python3
"""The time of a training step under each policy, as a ratio to raw's, in one run.

    codec_times.py BINARY [--network NAME:BATCH ...] [--only NAME ...] [--rounds N] [--steps N]
                   [--lock FILE] [--json FILE]

BINARY is the program `pocketprop`. A round times raw, a policy, raw, the next policy and so on, each in
a process of its own: the median of --steps steps behind three others. A policy's ratio in a round is to
the mean of the raw runs before and behind it; the table gives the median of the rounds and their
extremes, and above it by how much neighbouring raw runs differ, below which a ratio says nothing. A
policy that the binary does not know is left out, with a word on stderr. With --lock the file is held
locked during each policy and its two neighbours.

Both networks with five rounds of ten steps take about half an hour on two cores.
"""
import argparse
import json
import statistics
import subprocess
import sys

from compare_pytorch import lock

NETWORKS = ["resnet20:64", "resnet18:8"]
CODECS = """half norm:8 norm:6 norm:5 norm:4 norm:3 norm:2 norm:1 norm:4,lloyd btc:2 btc:4 btc:8 avgpool:2 avgpool:4
avgpool:2+group:4 pool:8+residual:2 bitmap""".split()
POLICIES = {
    **{codec: ["--codec", codec] for codec in CODECS},
    "group:4 where no batch-norm precedes": ["--codec", "raw", "--override", "@activation=group:4"],
    "8-bit momentum": ["--codec", "raw", "--optimizer-bits", "8"],
    "8-bit momentum, norm:4": ["--codec", "norm:4", "--optimizer-bits", "8"],
}
# The stem's nodes, and how many images a band of it takes.
BANDS = {"resnet20": ("conv1..bn1", (4, 16)), "resnet18": ("conv1..maxpool", (1, 4))}


def policies_of(model):
    nodes, counts = BANDS.get(model, ("", ()))
    bands = {f"{codec}, stem in bands of {count}": ["--codec", codec, "--band", f"{nodes}={count}"]
             for codec in ("raw", "norm:4") for count in counts}
    return {**POLICIES, **bands}


def bench(arguments, network, options):
    """The median of a run's steps in ms; None where the binary does not know the policy."""
    model, batch = network.split(":")
    command = [arguments.binary, "bench", "step", "--model", model, "--batch", batch, *options, "--steps",
               str(arguments.steps), "--json"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode == 2:
        return None
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return json.loads(result.stdout)["median_ms"]


def measure(arguments, network):
    policies = policies_of(network.split(":")[0])
    if arguments.only:
        policies = {name: policies[name] for name in arguments.only}
    ratios, times, noise, raw_times = {name: [] for name in policies}, {name: [] for name in policies}, [], []
    raw = ["--codec", "raw"]
    bench(arguments, network, raw)  # fills the program cache
    for number in range(arguments.rounds):
        before = None
        for name, options in policies.items():
            if number and not ratios[name]:
                continue
            with lock(arguments.lock):
                before = before or bench(arguments, network, raw)
                ours = bench(arguments, network, options)
                if ours is None:
                    print(f"{network}: {arguments.binary} has no policy {name}", file=sys.stderr)
                    continue
                behind = bench(arguments, network, raw)
            ratios[name].append(2 * ours / (before + behind))
            times[name].append(ours)
            noise.append(max(before, behind) / min(before, behind))
            raw_times.append(behind)
            before = None if arguments.lock else behind  # others may have run since
    rows = [{"network": network, "policy": name, "ms": statistics.median(times[name]),
             "ratio": statistics.median(found), "ratios": found} for name, found in ratios.items() if found]
    return {"rows": rows, "raw_ms": statistics.median(raw_times), "raw_noise": statistics.median(noise)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("binary")
    parser.add_argument("--network", action="append", metavar="NAME:BATCH", help="by default " + ", ".join(NETWORKS))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these policies")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--lock", help="a file to hold locked during each measurement")
    parser.add_argument("--json", metavar="FILE", help="everything that was measured")
    arguments = parser.parse_args()
    results = []
    for network in arguments.network or NETWORKS:
        result = measure(arguments, network)
        results.append({"network": network, **result})
        print(f"\n{network.replace(':', ', batch ')}: raw {result['raw_ms']:.1f} ms; neighbouring raw runs differ by "
              f"{100 * (result['raw_noise'] - 1):.1f} % (median)\n")
        print("| policy | ms | beside raw | least | most |\n|---|---|---|---|---|")
        for row in result["rows"]:
            print(f"| {row['policy']} | {row['ms']:.1f} | {row['ratio']:.3f} | {min(row['ratios']):.3f} | "
                  f"{max(row['ratios']):.3f} |", flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
