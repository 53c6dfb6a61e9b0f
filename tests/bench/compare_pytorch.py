#!/usr/bin/env python3
"""A training step here and in PyTorch, in turn, on the same cores or the same GPU.

    python3 tests/bench/compare_pytorch.py BUILD/pocketprop --all
    python3 tests/bench/compare_pytorch.py BUILD/pocketprop --model resnet18 --batch 8 [--codec raw] [--pairs 5]

Needs PyTorch (from PyPI); nothing else in the project does. `bench step --dump` writes the initial parameters, a batch
and the losses of the first three steps. PyTorch's twin of the network, below, repeats those three steps in double, and
every process that is timed the first one in float32; a loss that differs by more than one part in 10,000 ends the
comparison. (Of a lossy codec only the first loss is compared: what is compressed is the backward pass.) Then both sides
run in turn, each in a process of its own; a side's figure is the median of its steps, a pair's ratio PyTorch's time over
Pocketprop's. PyTorch is channels-last float32 without TF32, SGD with momentum in its fused form, and whichever of eager
and torch.compile is faster when both are tried in the beginning.

Peaks: Pocketprop's is the device memory it holds; PyTorch's is the growth of its resident memory on a CPU, with
torch.compile its compiler's memory too, and what its allocator held at most on a GPU.
"""
import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ALL = (("resnet20", 64), ("resnet18-cifar", 32), ("resnet18", 8), ("resnet50", 4), ("lenet", 64))
# Of the checked steps. At its random start resnet50 has gradients so large that with usual rates PyTorch's own second
# loss differs between float32 and double by a part in a hundred.
RATES = {"resnet50": 1e-5}
TOLERANCE = 1e-4
WARM_UP_STEPS = 3  # beyond the checked ones: caches, clocks, compiled code


def build_twin(model, classes, in_place=False):
    """PyTorch's twin of a built-in network. With in_place, each ReLU overwrites its input, as torchvision's do."""
    import torch.nn as nn
    import torch.nn.functional as F

    def relu(x):
        return F.relu(x, inplace=in_place)

    def conv(inputs, outputs, kernel, stride=1):
        return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)

    class Block(nn.Module):
        """Basic (two 3x3) or bottleneck (1x1, 3x3 with the stride, 1x1 to four times the width). A skip that changes
        shape is subsampled and padded with zero channels (option A), or projected as torchvision does (B)."""

        def __init__(self, inputs, width, stride, bottleneck, option):
            super().__init__()
            outputs = 4 * width if bottleneck else width
            if bottleneck:
                shapes = (inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)
            else:
                shapes = (inputs, width, 3, stride), (width, width, 3, 1)
            for number, shape in enumerate(shapes, 1):
                self.add_module(f"conv{number}", conv(*shape))
                self.add_module(f"bn{number}", nn.BatchNorm2d(shape[1]))
            self.layers = len(shapes)
            self.stride, self.pad, self.downsample = stride, (outputs - inputs) // 2, None
            if option == "B" and (stride != 1 or inputs != outputs):
                self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = x
            for number in range(1, self.layers + 1):
                y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
                if number < self.layers:
                    y = relu(y)
            if self.downsample is not None:
                x = self.downsample(x)
            elif self.pad:
                x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.pad, self.pad))
            return relu(y + x)

    class ResNet(nn.Module):
        def __init__(self, stem, width, blocks, bottleneck=False, option="B", classifier="fc"):
            super().__init__()
            self.conv1 = conv(3, width, *stem)
            self.bn1 = nn.BatchNorm2d(width)
            self.pool = nn.MaxPool2d(3, 2, 1) if stem[1] == 2 else nn.Identity()
            channels = width
            for stage, count in enumerate(blocks):
                layer = []
                for number in range(count):
                    stride = 2 if stage and not number else 1
                    layer.append(Block(channels, width << stage, stride, bottleneck, option))
                    channels = (width << stage) * (4 if bottleneck else 1)
                self.add_module(f"layer{stage + 1}", nn.Sequential(*layer))
            self.stages = len(blocks)
            self.classifier = classifier
            self.add_module(classifier, nn.Linear(channels, classes))

        def forward(self, x):
            x = self.pool(relu(self.bn1(self.conv1(x))))
            for stage in range(self.stages):
                x = getattr(self, f"layer{stage + 1}")(x)
            return getattr(self, self.classifier)(x.mean((2, 3)))

    class PreBlock(nn.Module):
        """Bottleneck with batch-norm and ReLU in front of each convolution. A skip that changes shape is averaged and
        padded with zero channels; the first block of all takes it behind the first ReLU."""

        def __init__(self, inputs, width, stride, first):
            super().__init__()
            outputs = 4 * width
            shapes = (inputs, width, 1, stride), (width, width, 3), (width, outputs, 1)
            for number, shape in enumerate(shapes, 1):
                self.add_module(f"bn{number}", nn.BatchNorm2d(shape[0], eps=1e-3))
                self.add_module(f"conv{number}", conv(*shape))
            self.stride, self.pad, self.first = stride, (outputs - inputs) // 2, first

        def forward(self, x):
            y = relu(self.bn1(x))
            if self.first:
                x = y
            y = self.conv1(y)
            y = self.conv2(relu(self.bn2(y)))
            y = self.conv3(relu(self.bn3(y)))
            if self.stride > 1:
                x = F.avg_pool2d(x, self.stride)
            if self.pad:
                x = F.pad(x, (0, 0, 0, 0, self.pad, self.pad))
            return y + x

    class PreResNet(nn.Module):
        def __init__(self, count):
            super().__init__()
            self.conv1 = conv(3, 16, 3)
            channels = 16
            for stage in range(3):
                layer = []
                for number in range(count):
                    stride = 2 if stage and not number else 1
                    layer.append(PreBlock(channels, 16 << stage, stride, not stage and not number))
                    channels = 64 << stage
                self.add_module(f"layer{stage + 1}", nn.Sequential(*layer))
            self.bn, self.fc = nn.BatchNorm2d(channels, eps=1e-3), nn.Linear(channels, classes)

        def forward(self, x):
            x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
            return self.fc(relu(self.bn(x)).mean((2, 3)))

    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 16, 5, 1, 2), nn.Conv2d(16, 32, 5)
            self.fc1, self.fc2, self.fc3 = nn.Linear(800, 120), nn.Linear(120, 84), nn.Linear(84, classes)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x)), 2)
            x = x.permute(0, 2, 3, 1).flatten(1)  # rows, columns, channels, as they lie in memory
            return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    twins = {
        "lenet": LeNet,
        "preresnet164": lambda: PreResNet(18),
        "preresnet1001": lambda: PreResNet(111),
        "resnet20": lambda: ResNet((3, 1), 16, (3, 3, 3), option="A", classifier="linear"),
        "resnet18-cifar": lambda: ResNet((3, 1), 64, (2, 2, 2, 2)),
        "resnet18": lambda: ResNet((7, 2), 64, (2, 2, 2, 2)),
        "resnet50": lambda: ResNet((7, 2), 64, (3, 4, 6, 3), bottleneck=True),
    }
    return twins[model]()


def load_parameters(model, step, folder):
    """Convolution weights come as [kernel_h, kernel_w, in, out], dense weights as [in, out]."""
    import torch
    values = torch.from_file(str(folder / "parameters.f32"), size=(folder / "parameters.f32").stat().st_size // 4)
    state, at = {}, 0
    for row in step["parameters"]:
        tensor = values[at:at + int(torch.Size(row["shape"]).numel())].reshape(row["shape"])
        at += tensor.numel()
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(tensor.dim(), (0,))
        state[row["name"]] = tensor.permute(axes).contiguous()
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected or at != values.numel():
        sys.exit(f"the twin of {step['model']} is another network: lacks {unexpected}, has {missing} too many")


def make_step(options, step, folder):
    """One whole training step as a function without arguments; it returns the loss."""
    import torch
    import torch.nn.functional as F
    if options.threads and options.device == "cpu":
        torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    model = build_twin(step["model"], step["classes"])
    load_parameters(model, step, folder)
    kind = torch.float64 if options.double else torch.float32
    model = model.to(options.device, kind, memory_format=torch.channels_last)
    shape = [step[name] for name in ("batch", "height", "width", "channels")]
    inputs = torch.from_file(str(folder / "inputs.f32"), size=int(torch.Size(shape).numel())).clone()
    inputs = inputs.reshape(shape).permute(0, 3, 1, 2).to(options.device, kind)
    labels = torch.from_file(str(folder / "labels.i32"), size=step["batch"], dtype=torch.int32)
    labels = labels.long().to(options.device)
    decayed = {row["name"] for row in step["parameters"] if row["decayed"]}
    groups = [{"params": [p for n, p in model.named_parameters() if (n in decayed) == wanted], "weight_decay": decay}
              for wanted, decay in ((True, step["weight_decay"]), (False, 0))]
    optimizer = torch.optim.SGD(groups, lr=step["learning_rate"], momentum=step["momentum"],
                                nesterov=step["nesterov"], fused=True)

    def loss_of(x, y):
        return F.cross_entropy(model(x), y)

    if options.compile == "on":
        loss_of = torch.compile(loss_of)

    def run():
        optimizer.zero_grad()
        loss = loss_of(inputs, labels)
        loss.backward()
        optimizer.step()
        return loss

    return run


def check_losses(run, step, count):
    for number, ours in enumerate(step["losses"][:count], 1):
        theirs = run().item()
        if not abs(theirs - ours) <= TOLERANCE * abs(ours):
            sys.exit(f"{step['model']}: the loss of step {number} is {ours:.7g} here and {theirs:.7g} in PyTorch")


def peak_bytes(device):
    import torch
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def torch_side(options):
    import torch
    folder = pathlib.Path(options.dump)
    step = json.loads((folder / "step.json").read_text())
    before = 0 if options.device == "cuda" else peak_bytes("cpu")
    run = make_step(options, step, folder)
    wait = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    check_losses(run, step, 3 if options.double and step["codec"] == "raw" else 1)
    times = []
    for number in range(0 if options.double else WARM_UP_STEPS + options.steps):
        begin = time.perf_counter()
        run()
        wait()
        if number >= WARM_UP_STEPS:
            times.append(1000 * (time.perf_counter() - begin))
    print(json.dumps({"median_ms": statistics.median(times or [0]), "peak_bytes": peak_bytes(options.device) - before,
                      "version": torch.__version__}))


def run_process(options, command):
    """The JSON value that a process prints; None and a word on stderr when it fails."""
    environment = dict(os.environ)
    if options.threads:  # PoCL starts a thread for every processor of the machine, however few it may run on
        environment.update(OMP_NUM_THREADS=str(options.threads), POCL_MAX_PTHREAD_COUNT=str(options.threads))
    pinned = ["taskset", "-c", options.cores] if options.cores else []
    result = subprocess.run(pinned + command, capture_output=True, text=True, env=environment)
    if result.returncode:
        print(f"{' '.join(command)} failed:\n{result.stderr}", file=sys.stderr)
        return None
    return json.loads(result.stdout)


class Comparison:
    def __init__(self, options, model, batch, folder):
        self.options, self.model, self.batch, self.folder = options, model, batch, folder
        self.step_counts = {}

    def run_ours(self, *more):
        device = ["--device", "gpu"] if self.options.device == "cuda" else []
        steps = str(self.step_counts.get("ours", 1))
        result = run_process(self.options, [self.options.pocketprop, "bench", "step", "--model", self.model, "--batch",
                                            str(self.batch), "--codec", self.options.codec, "--steps", steps,
                                            "--json", *device, *more])
        return result or sys.exit(1)

    def run_theirs(self, compiled, *more):
        steps = str(self.step_counts.get("theirs", 1))
        return run_process(self.options, [sys.executable, __file__, self.options.pocketprop, "--torch-side", "--dump",
                                          self.folder, "--compile", compiled, "--steps", steps, "--device",
                                          self.options.device, "--threads", str(self.options.threads), *more])

    def choose_mode(self):
        """Both ways of running PyTorch, tried once; the faster one is compared with."""
        modes = {"auto": ("off", "on")}.get(self.options.compile, (self.options.compile,))
        tried = {mode: self.run_theirs(mode) for mode in modes}
        if "on" in tried and tried["on"] is None:
            print(f"{self.model}: torch.compile does not work here; PyTorch runs eager", file=sys.stderr)
        times = {mode: result["median_ms"] for mode, result in tried.items() if result}
        if not times:
            sys.exit(1)
        return min(times, key=times.get), times

    def choose_steps(self, ours_ms, theirs_ms):
        seconds = self.options.seconds
        self.step_counts = {side: max(3, min(200, int(1000 * seconds / ms)))
                            for side, ms in (("ours", ours_ms), ("theirs", theirs_ms))}

    def measure(self):
        with lock(self.options.lock):
            rate = str(RATES.get(self.model, 0.01))
            self.run_ours("--dump", self.folder, "--lr", rate)  # fills the program cache too
            self.run_theirs("off", "--double") or sys.exit(1)
            first = self.run_ours()
            self.choose_steps(first["median_ms"], first["median_ms"])
            mode, tried = self.choose_mode()
        self.choose_steps(first["median_ms"], tried[mode])
        ours, theirs = [], []
        for _ in range(self.options.pairs):
            with lock(self.options.lock):
                ours.append(self.run_ours())
                theirs.append(self.run_theirs(mode) or sys.exit(1))
        ratios = [t["median_ms"] / o["median_ms"] for o, t in zip(ours, theirs)]
        return {
            "model": self.model, "batch": self.batch, "codec": self.options.codec, "device": ours[0]["device"],
            "profile": ours[0]["profile"], "torch": theirs[0]["version"],
            "torch_mode": {"off": "eager", "on": "torch.compile"}[mode], "torch_tried_ms": tried,
            "pairs": self.options.pairs,
            "pocketprop_ms": statistics.median(o["median_ms"] for o in ours),
            "torch_ms": statistics.median(t["median_ms"] for t in theirs),
            "ratio": statistics.median(ratios), "ratios": ratios,
            "pocketprop_peak_bytes": ours[0]["peak_device_bytes"],
            "torch_peak_bytes": statistics.median(t["peak_bytes"] for t in theirs),
        }


@contextlib.contextmanager
def lock(path):
    """Holds a lock file, so that other measurements on this machine wait."""
    if not path:
        yield
        return
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def print_row(row):
    print(f"| {row['model']} | {row['batch']} | {row['codec']} | {row['pocketprop_ms']:.1f} | {row['torch_ms']:.1f} "
          f"({row['torch_mode']}) | {row['ratio']:.2f} ({min(row['ratios']):.2f} to {max(row['ratios']):.2f}) | "
          f"{row['pocketprop_peak_bytes'] / 1e6:.1f} | {row['torch_peak_bytes'] / 1e6:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description="A training step here and in PyTorch, in turn.")
    parser.add_argument("pocketprop")
    parser.add_argument("--model", default="resnet20", choices=[name for name, _ in ALL])
    parser.add_argument("--batch", type=int, help="the one that --all takes, by default")
    parser.add_argument("--all", action="store_true", help="five networks: " + ", ".join(f"{m} {b}" for m, b in ALL))
    parser.add_argument("--codec", default="raw")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of timed steps of a side in a pair, about")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--compile", default="auto", choices=["auto", "on", "off"], help="torch.compile")
    parser.add_argument("--threads", type=int, default=2, help="PyTorch's; 0: its own choice")
    parser.add_argument("--cores", default="0,1", help="for both sides; '' pins nothing")
    parser.add_argument("--lock", help="a file to hold locked during each pair")
    parser.add_argument("--json", action="store_true")
    for hidden in ("--dump", "--steps"):
        parser.add_argument(hidden, type=int if hidden == "--steps" else str, help=argparse.SUPPRESS)
    for hidden in ("--torch-side", "--double"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch_side:
        return torch_side(options)
    networks = ALL if options.all else ((options.model, options.batch or dict(ALL)[options.model]),)
    rows = []
    for model, batch in networks:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(Comparison(options, model, batch, folder).measure())
        if not options.json:
            if len(rows) == 1:
                print(f"{rows[0]['device']}, profile {rows[0]['profile']}, cores {options.cores or 'all'}; PyTorch "
                      f"{rows[0]['torch']} channels-last, {options.pairs} pairs\n")
                print("| network | batch | codec | Pocketprop, ms | PyTorch, ms | speed, PyTorch = 1 | peak, MB | "
                      "PyTorch's |\n|---|---|---|---|---|---|---|---|")
            print_row(rows[-1])
    if options.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
