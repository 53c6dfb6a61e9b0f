#!/usr/bin/env python3
"""Fine-tuning resnet20 on CIFAR-10 here and in PyTorch, in turn, on the same cores.

    python3 tests/bench/finetune_pytorch.py BUILD/pocketprop DATA [--steps 78] [--rounds 5]

DATA holds weights/resnet20.safetensors and cifar10/ (data_batch_*.bin, test_batch.bin). Needs PyTorch. Each round runs
every row below once on each side, every run in a process of its own, over the first STEPS batches of 128 images; times
are scaled to the 390 batches of an epoch. Both sides take the same weights and images, decoded already, crop and flip
them, and use SGD with momentum 0.9, weight decay 1e-4 on weights alone, a rate of 0.02 falling along a cosine. A side's
figure is the median of its rounds, the speed the median of the rounds' ratios. Before any of it the loss over all these
images, as they are and with a rate of 0, must be the same on both sides to one part in 10,000.

PyTorch is eager, float32, channels-last, ReLUs in place, SGD in its fused form, and crops and flips a batch at once; a
few steps that are not timed warm it up. What is frozen there needs no gradient, and its batch-norms are in eval mode.
Our time is that of the command's epoch, its first step included; its test and its start are left out.

Peaks: ours is the device memory that the run holds, which is planned; PyTorch's is of its allocator, by `peaks.py`.
"""
import argparse
import fnmatch
import json
import math
import pathlib
import statistics
import sys
import tempfile
import time

from compare_pytorch import TOLERANCE, WARM_UP_STEPS, build_twin, lock, run_process
from peaks import record_peak

BATCH, EPOCH_STEPS, RATE = 128, 50000 // 128, 0.02
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EVERYTHING, BLOCK, HEAD = ("*",), ("layer3.2.*", "linear.*"), ("linear.*",)
# What is trained in words and as patterns, and our options.
ROWS = (
    ("everything", EVERYTHING, "--codec raw"),
    ("everything", EVERYTHING, "--codec norm:4"),
    ("everything", EVERYTHING, "--budget 24000000 --optimizer-bits 8"),
    ("last block and head", BLOCK, "--budget 8000000"),
    ("head", HEAD, "--budget 8000000"),
)


def read_weights(path):
    """A safetensors file: the header's length in 8 bytes, the header, the values."""
    import torch
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    state = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = torch.frombuffer(bytearray(content[start + begin:start + end]), dtype=torch.float32)
            state[name] = values.reshape(entry["shape"])
    return state


def read_images(folder, count):
    """CIFAR-10's records: a label, then 32x32 reds, greens and blues."""
    import torch
    content = b"".join(path.read_bytes() for path in sorted(folder.glob("data_batch_*.bin")))
    if len(content) < count * 3073:
        sys.exit(f"{folder}: found {len(content) // 3073} training images, expected {count}")
    records = torch.frombuffer(bytearray(content[:count * 3073]), dtype=torch.uint8).reshape(count, 3073)
    return records[:, 1:].reshape(count, 3, 32, 32).contiguous(), records[:, 0].long()


def normalise(pixels):
    import torch
    mean, deviation = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (pixels / 255 - mean) / deviation


def augment(images):
    """Padded by 4 pixels of about the mean's colour, cropped anywhere, mirrored every other time."""
    import torch
    count = len(images)
    padded = (255 * torch.tensor(MEAN)).round().byte().reshape(1, 3, 1, 1).repeat(count, 1, 40, 40)
    padded[:, :, 4:36, 4:36] = images
    rows = torch.randint(9, (count, 1)) + torch.arange(32)
    columns = torch.randint(9, (count, 1)) + torch.arange(32)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    samples = torch.arange(count)[:, None, None]
    return padded.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def make_step(folder, patterns):
    """The whole work of a step as a function of images, labels and rate, which returns the loss. At rate 0 images stay
    as they are."""
    import torch
    import torch.nn.functional as F

    def is_trained(name):
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    model = build_twin("resnet20", 10, in_place=True)
    missing, unexpected = model.load_state_dict(read_weights(folder / "weights/resnet20.safetensors"), strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        sys.exit(f"resnet20.safetensors is of another network: lacks {missing}, has {unexpected} too many")
    model = model.to(memory_format=torch.channels_last)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train(is_trained(name + ".weight"))
    groups = {True: [], False: []}
    for name, parameter in model.named_parameters():
        parameter.requires_grad = is_trained(name)
        if parameter.requires_grad:
            groups[parameter.dim() > 1].append(parameter)
    optimizer = torch.optim.SGD([{"params": groups[True], "weight_decay": 1e-4}, {"params": groups[False]}], lr=RATE,
                                momentum=0.9, fused=True)

    def step(images, labels, rate):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = F.cross_entropy(model(normalise(images if rate == 0 else augment(images))), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_side(options):
    import torch
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    patterns = options.torch_side.split()
    images, labels = read_images(options.data / "cifar10", options.steps * BATCH)
    if options.peak:
        peak, _ = record_peak(lambda: lambda step=make_step(options.data, patterns): step(images[:BATCH],
                                                                                          labels[:BATCH], RATE))
        print(json.dumps({"peak_bytes": peak}))
        return
    warm_up = make_step(options.data, patterns)
    for _ in range(WARM_UP_STEPS):
        warm_up(images[:BATCH], labels[:BATCH], RATE)
    step = make_step(options.data, patterns)
    losses = []
    begin = time.perf_counter()
    for number, samples in enumerate(torch.randperm(len(images)).split(BATCH)):
        rate = options.rate * (1 + math.cos(math.pi * number / options.steps)) / 2
        losses.append(step(images[samples], labels[samples], rate))
    print(json.dumps({"seconds": time.perf_counter() - begin, "loss": statistics.mean(losses),
                      "version": torch.__version__}))


def run_theirs(options, patterns, *more, rate=RATE):
    return run_process(options, [sys.executable, __file__, options.pocketprop, str(options.data), "--steps",
                                 str(options.steps), "--threads", str(options.threads), "--rate", str(rate),
                                 "--torch-side", " ".join(patterns), *more]) or sys.exit(1)


def run_ours(options, patterns, how, rate=RATE):
    parts = ["--freeze", "*"] + [word for pattern in patterns for word in ("--train", pattern)]
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "log"
        result = run_process(options, [
            options.pocketprop, "train", "--model", "resnet20", "--weights",
            str(options.data / "weights/resnet20.safetensors"), "--data", f"cifar10:{options.data / 'cifar10'}",
            "--mean", ",".join(map(str, MEAN)), "--deviation", ",".join(map(str, DEVIATION)), "--batch", str(BATCH),
            "--limit", str(options.steps * BATCH), "--lr", str(rate), *how.split(),
            *(parts if patterns != EVERYTHING else ()), "--log", str(log), "--json"]) or sys.exit(1)
        if result["planned_peak_bytes"] != result["real_peak_bytes"]:
            sys.exit(f"{how}: {result['planned_peak_bytes']} bytes are planned, {result['real_peak_bytes']} held")
        return {"seconds": json.loads(log.read_text())["seconds"], "loss": result["train_loss"],
                "peak_bytes": result["real_peak_bytes"], "device": result["device"], "profile": result["profile"]}


def check_losses(options):
    """With the head alone the order of the images does not matter."""
    ours = run_ours(options, HEAD, "--no-augment", rate=0)["loss"]
    theirs = run_theirs(options, HEAD, rate=0)["loss"]
    if not abs(theirs - ours) <= TOLERANCE * abs(ours):
        sys.exit(f"the loss of these images is {ours:.7g} here and {theirs:.7g} in PyTorch")


def print_table(options, ours, theirs, peaks):
    first = ours[ROWS[0]][0]
    scale = EPOCH_STEPS / options.steps
    print(f"{first['device']}, profile {first['profile']}, cores {options.cores or 'all'}; PyTorch "
          f"{theirs[EVERYTHING][0]['version']} channels-last, {options.rounds} rounds of {options.steps} steps, scaled "
          f"to {EPOCH_STEPS}\n\n| what is trained | how | s an epoch | PyTorch, s | speed, PyTorch = 1 | peak, MB | "
          "PyTorch's | training loss | PyTorch's |\n|---|---|---|---|---|---|---|---|---|")
    for row in ROWS:
        name, patterns, how = row
        ratios = [t["seconds"] / o["seconds"] for o, t in zip(ours[row], theirs[patterns])]
        seconds = [scale * statistics.median(run["seconds"] for run in runs) for runs in (ours[row], theirs[patterns])]
        losses = [statistics.median(run["loss"] for run in runs) for runs in (ours[row], theirs[patterns])]
        print(f"| {name} | `{how}` | {seconds[0]:.1f} | {seconds[1]:.1f} | {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f}) | {ours[row][0]['peak_bytes'] / 1e6:.1f} | "
              f"{peaks[patterns] / 1e6:.1f} | {losses[0]:.3f} | {losses[1]:.3f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("pocketprop")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=78, help="of a run; 78 is all that data_batch_1.bin holds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cores", default="0,1", help="for both sides; '' pins nothing")
    parser.add_argument("--lock", help="a file to hold locked during each round")
    parser.add_argument("--torch-side", help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch_side:
        return torch_side(options)
    kinds = list(dict.fromkeys(patterns for _, patterns, _ in ROWS))
    with lock(options.lock):
        check_losses(options)
        peaks = {patterns: run_theirs(options, patterns, "--peak")["peak_bytes"] for patterns in kinds}
    ours, theirs = {row: [] for row in ROWS}, {patterns: [] for patterns in kinds}
    for _ in range(options.rounds):
        with lock(options.lock):
            for patterns in kinds:
                theirs[patterns].append(run_theirs(options, patterns))
                for row in ROWS:
                    if row[1] == patterns:
                        ours[row].append(run_ours(options, patterns, row[2]))
    print_table(options, ours, theirs, peaks)


if __name__ == "__main__":
    main()
