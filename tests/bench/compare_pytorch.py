#!/usr/bin/env python3
"""A training step of resnet20 (CIFAR, post-activation, option A) here and in PyTorch, in turn, on the same two cores.

    python3 tests/bench/compare_pytorch.py BUILD/pocketprop [--batch 64] [--codec raw] [--pairs 5] [--cores 0,1]

Needs PyTorch (from PyPI); nothing else in the project does. PyTorch runs channels-last, eager, with two threads and
SGD with momentum; each side's figure in a pair is the median of its steps, and the ratio of a pair is PyTorch's time
over Pocketprop's. Peak memory: Pocketprop's device bytes beside the growth of PyTorch's resident memory.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time


def torch_side(batch, steps):
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.pad = (outputs - inputs) // 2
            self.stride = stride

        def forward(self, x):
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            if self.pad:
                x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.pad, self.pad))
            return F.relu(y + x)

    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for stage, width in enumerate((16, 32, 64)):
        for block in range(3):
            layers.append(Block(channels, width, 2 if stage and not block else 1))
            channels = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    torch.set_num_threads(2)
    torch.manual_seed(1)
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    x = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    times = []
    for step in range(steps + 3):
        begin = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()
        if step >= 3:
            times.append(1000 * (time.perf_counter() - begin))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(json.dumps({"median_ms": statistics.median(times), "peak_bytes": peak, "version": torch.__version__}))


def run(command, cores):
    environment = dict(os.environ, OMP_NUM_THREADS=str(len(cores.split(","))))
    result = subprocess.run(["taskset", "-c", cores] + command, capture_output=True, text=True, env=environment)
    if result.returncode:
        sys.exit(f"{command[0]} failed:\n{result.stderr}")
    return json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pocketprop")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--codec", default="raw")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cores", default="0,1")
    parser.add_argument("--torch-side", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch_side:
        return torch_side(options.batch, options.steps)
    ours_command = [options.pocketprop, "bench", "step", "--model", "resnet20", "--batch", str(options.batch),
                    "--codec", options.codec, "--steps", str(options.steps), "--json"]
    theirs_command = [sys.executable, __file__, options.pocketprop, "--batch", str(options.batch), "--steps",
                      str(options.steps), "--torch-side"]
    run(ours_command, options.cores)  # fills the program cache
    ratios, ours_times, theirs_times = [], [], []
    for _ in range(options.pairs):
        ours, theirs = run(ours_command, options.cores), run(theirs_command, options.cores)
        ours_times.append(ours["median_ms"])
        theirs_times.append(theirs["median_ms"])
        ratios.append(theirs["median_ms"] / ours["median_ms"])
    print(f"resnet20, batch {options.batch}, codec {options.codec}, cores {options.cores}, "
          f"PyTorch {theirs['version']} channels-last")
    print(f"Pocketprop  {statistics.median(ours_times):8.1f} ms   peak {ours['peak_device_bytes'] / 1e6:7.1f} MB")
    print(f"PyTorch     {statistics.median(theirs_times):8.1f} ms   peak {theirs['peak_bytes'] / 1e6:7.1f} MB")
    print(f"speed       {statistics.median(ratios):8.2f} x   ({min(ratios):.2f} to {max(ratios):.2f} "
          f"in {options.pairs} pairs)")


if __name__ == "__main__":
    main()
