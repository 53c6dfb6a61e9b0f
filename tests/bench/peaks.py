#!/usr/bin/env python3
"""PyTorch's peak of memory in a training step on the CPU, from its profiler's memory record.

    peaks.py [--threads N] [NETWORK ...] > pytorch.json

A NETWORK is MODEL:BATCH, or MODEL:BATCH=A,B,C where BATCH would not fit: the peak is then that of the
straight line through those of the batches A and C, and `off_line` says how far B's lies beside it, as
a share. Without arguments: the networks of `peaks.sh`.

The profiler (torch.profiler, profile_memory) runs from before the network is built and records every
allocation and release of PyTorch's allocator with its size. The peak is the largest sum of what is
held during the second and the third step: parameters, moments, gradients, images and labels, saved
activations and temporary tensors are in it, those of the convolutions too; the interpreter and the
libraries themselves are not. The step is float32, channels-last, SGD with momentum in its fused form,
ReLUs in place as torchvision has them, gradients released before each step (zero_grad's default), on
the networks of compare_pytorch.py.
"""
import argparse
import json
import subprocess
import sys

from compare_pytorch import build_twin

NETWORKS = "resnet50:64 resnet18:32 resnet20:128 preresnet1001:128=8,16,32".split()
STEPS = 3


def record_peak(build):
    """Largest sum of what the allocator holds while the second and the third step run, and what it holds before them.
    build makes everything a step needs, and returns the step."""
    from torch.profiler import ProfilerActivity, profile, record_function
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        run = build()
        for number in range(STEPS):
            with record_function(f"step {number}"):
                run()
    events = sorted(record.profiler.kineto_results.events(), key=lambda event: event.start_ns())
    counted = next(event.start_ns() for event in events if event.name() == "step 1")
    held = peak = start = 0
    for event in events:
        if event.name() == "[memory]":
            held += event.nbytes()
            if event.start_ns() >= counted:
                peak = max(peak, held)
            else:
                start = held
    return peak, start


def measure(model, batch, threads):
    import torch
    import torch.nn.functional as F
    torch.set_num_threads(threads)
    extent, classes = (224, 1000) if model in ("resnet18", "resnet50") else (32, 10)

    def build():
        network = build_twin(model, classes, in_place=True).to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
        images = torch.randn(batch, 3, extent, extent).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(classes, (batch,))

        def run():
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()

        return run

    peak, start = record_peak(build)
    return {"model": model, "batch": batch, "extent": extent, "peak_bytes": peak, "between_steps_bytes": start,
            "version": torch.__version__}


def measure_apart(model, batch, threads):
    """In a process of its own, whose memory is free again afterwards."""
    command = [sys.executable, __file__, "--one", "--threads", str(threads), f"{model}:{batch}"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def scale(model, batch, parts, threads):
    small, middle, large = (measure_apart(model, part, threads) for part in parts)

    def on_line(key, at):
        slope = (large[key] - small[key]) / (large["batch"] - small["batch"])
        return round(small[key] + (at - small["batch"]) * slope)

    off = middle["peak_bytes"] / on_line("peak_bytes", middle["batch"]) - 1
    return {**large, "batch": batch, "scaled_from": list(parts), "off_line": off,
            **{key: on_line(key, batch) for key in ("peak_bytes", "between_steps_bytes")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("networks", nargs="*", metavar="MODEL:BATCH[=A,B,C]", default=NETWORKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    results = []
    for network in options.networks:
        name, _, parts = network.partition("=")
        model, batch = name.split(":")
        if options.one:
            results = measure(model, int(batch), options.threads)
        elif parts:
            parts = [int(part) for part in parts.split(",")]
            results.append(scale(model, int(batch), parts, options.threads))
        else:
            results.append(measure_apart(model, int(batch), options.threads))
    json.dump(results, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    sys.exit(main())
