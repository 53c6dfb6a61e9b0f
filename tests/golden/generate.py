#!/usr/bin/env python3
"""Writes every golden file below this folder: values that PyTorch computes in double.

    python3 generate.py        needs PyTorch and NumPy; README.md describes the format

Inputs are multiples of a small power of two, so that they are the same numbers in float32 and short
in print. PyTorch works in NCHW and OIHW; what is written is NHWC, and [r, s, c/groups, k] for
convolution weights.
"""

import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

FOLDER = pathlib.Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def write(name, comment, **tensors):
    """One case: FOLDER/name.golden."""
    path = FOLDER / (name + ".golden")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["# " + comment]
    for key, value in tensors.items():
        array = np.atleast_1d(
            np.asarray(value.detach() if torch.is_tensor(value) else value, dtype=np.float64)
        )
        lines.append(" ".join(["tensor", key] + [str(extent) for extent in array.shape]))
        texts = [repr(float(v)).removesuffix(".0") for v in array.ravel()]
        lines += [" ".join(texts[i : i + 8]) for i in range(0, len(texts), 8)]
    path.write_text("\n".join(lines) + "\n")


def normal(generator, *shape, grid=64, deviation=1.0):
    return torch.round(torch.randn(*shape, generator=generator) * deviation * grid) / grid


def leaf(tensor):
    return tensor.clone().requires_grad_(True)


def nhwc(tensor):
    return tensor.permute(0, 2, 3, 1).contiguous()


def rsck(weight):
    return weight.permute(2, 3, 1, 0).contiguous()


def conv2d():
    cases = {  # input NCHW, out channels, kernel, stride, pad, dilation, groups, bias
        "same_bias": ((2, 3, 5, 7), 4, (3, 3), (1, 1), (1, 1), (1, 1), 1, True),
        "stride2": ((2, 4, 7, 9), 5, (3, 3), (2, 2), (1, 1), (1, 1), 1, False),
        "dilation2": ((1, 3, 9, 8), 2, (3, 3), (1, 1), (2, 2), (2, 2), 1, False),
        "groups2": ((2, 4, 5, 5), 6, (3, 3), (1, 1), (1, 1), (1, 1), 2, True),
        "depthwise": ((2, 5, 6, 5), 5, (3, 3), (2, 2), (1, 1), (1, 1), 5, False),
        "depthwise_multiplier": ((1, 3, 5, 5), 6, (3, 3), (1, 1), (0, 0), (1, 1), 3, False),
        "pointwise_bias": ((2, 5, 3, 5), 7, (1, 1), (1, 1), (0, 0), (1, 1), 1, True),
        "pointwise_stride2": ((2, 3, 5, 4), 5, (1, 1), (2, 2), (0, 0), (1, 1), 1, False),
        "stem7": ((1, 3, 13, 11), 3, (7, 7), (2, 2), (3, 3), (1, 1), 1, False),
        "lopsided": ((2, 2, 6, 9), 3, (1, 3), (2, 1), (0, 2), (1, 2), 1, True),
        "valid2": ((3, 1, 4, 5), 2, (2, 2), (1, 1), (0, 0), (1, 1), 1, False),
    }
    for seed, (name, (shape, k, kernel, stride, pad, dilation, groups, bias)) in enumerate(
        cases.items()
    ):
        g = torch.Generator().manual_seed(100 + seed)
        x = leaf(normal(g, *shape))
        w = leaf(normal(g, k, shape[1] // groups, *kernel))
        b = leaf(normal(g, k)) if bias else None
        y = F.conv2d(x, w, b, stride, pad, dilation, groups)
        dy = normal(g, *y.shape)
        y.backward(dy)
        extra = dict(b=b, db=b.grad) if bias else {}
        write(
            "conv2d/" + name,
            "torch.nn.functional.conv2d",
            stride=stride,
            pad=pad,
            dilation=dilation,
            groups=groups,
            x=nhwc(x),
            w=rsck(w),
            y=nhwc(y),
            dy=nhwc(dy),
            dx=nhwc(x.grad),
            dw=rsck(w.grad),
            **extra
        )


def dense():
    for seed, (name, shape, k, bias) in enumerate(
        [("flat_bias", (3, 7, 1, 1), 5, True), ("image", (2, 3, 4, 5), 3, False)]
    ):
        g = torch.Generator().manual_seed(200 + seed)
        x = leaf(normal(g, *shape))
        w = leaf(normal(g, shape[1] * shape[2] * shape[3], k))
        b = leaf(normal(g, k)) if bias else None
        y = F.linear(nhwc(x).flatten(1), w.t(), b)
        dy = normal(g, *y.shape)
        y.backward(dy)
        extra = dict(b=b, db=b.grad) if bias else {}
        write(
            "dense/" + name,
            "torch.nn.functional.linear on the input flattened in h, w, c order",
            x=nhwc(x),
            w=w,
            y=y,
            dy=dy,
            dx=nhwc(x.grad),
            dw=w.grad,
            **extra
        )


def batchnorm(relu):
    name = "batchnorm_relu" if relu else "batchnorm"
    for seed, (case, shape, epsilon, momentum) in enumerate(
        [
            ("small", (2, 3, 4, 5), 1e-5, 0.1),
            ("other_constants", (3, 5, 3, 3), 1e-3, 0.25),
            ("one_image", (1, 4, 2, 3), 1e-5, 0.1),
        ]
    ):
        g = torch.Generator().manual_seed((400 if relu else 300) + seed)
        c = shape[1]
        x = leaf(normal(g, *shape) * 2 + normal(g, 1, c, 1, 1))
        gamma, beta = leaf(normal(g, c)), leaf(normal(g, c))
        running_mean, running_variance = normal(g, c), normal(g, c).abs() + 0.5
        before = dict(running_mean=running_mean.clone(), running_variance=running_variance.clone())
        activation = torch.relu if relu else lambda t: t
        inference = activation(
            F.batch_norm(x, running_mean, running_variance, gamma, beta, False, momentum, epsilon)
        )
        y = activation(
            F.batch_norm(x, running_mean, running_variance, gamma, beta, True, momentum, epsilon)
        )
        dy = normal(g, *y.shape)
        y.backward(dy)
        mean = x.mean((0, 2, 3))
        inverse_deviation = 1 / torch.sqrt(x.var((0, 2, 3), unbiased=False) + epsilon)
        write(
            name + "/" + case,
            "torch.nn.functional.batch_norm" + (", then relu" if relu else ""),
            epsilon=epsilon,
            momentum=momentum,
            x=nhwc(x),
            gamma=gamma,
            beta=beta,
            **before,
            mean=mean,
            inverse_deviation=inverse_deviation,
            y=nhwc(y),
            running_mean_after=running_mean,
            running_variance_after=running_variance,
            y_inference=nhwc(inference),
            dy=nhwc(dy),
            dx=nhwc(x.grad),
            dgamma=gamma.grad,
            dbeta=beta.grad
        )


def elementwise():
    g = torch.Generator().manual_seed(500)
    x, dy = leaf(normal(g, 2, 3, 5, 7)), normal(g, 2, 3, 5, 7)
    y = torch.relu(x)
    y.backward(dy)
    write("relu/small", "torch.relu; some inputs are 0", x=x, y=y, dy=dy, dx=x.grad)

    a, b = leaf(normal(g, 2, 3, 3, 5)), leaf(normal(g, 2, 3, 3, 5))
    dy = normal(g, 2, 3, 3, 5)
    y = a + b
    y.backward(dy)
    write("add/small", "a + b", a=a, b=b, y=y, dy=dy, da=a.grad, db=b.grad)

    a, b = leaf(normal(g, 2, 3, 3, 5)), leaf(normal(g, 2, 3, 3, 5))
    y = torch.relu(a + b)
    y.backward(dy)
    write("add_relu/small", "torch.relu(a + b)", a=a, b=b, y=y, dy=dy, da=a.grad, db=b.grad)

    x, dy = leaf(normal(g, 2, 3, 3, 5)), normal(g, 2, 3, 3, 5)
    probability = 0.375
    mask = (torch.rand(2, 3, 3, 5, generator=g) >= probability).double()
    y = x * mask / (1 - probability)
    y.backward(dy)
    write(
        "dropout/small",
        "x * mask / (1 - probability) with a given mask",
        probability=probability,
        mask=mask,
        x=x,
        y=y,
        dy=dy,
        dx=x.grad,
    )


def shortcut():
    for seed, (name, shape, stride, out) in enumerate(
        [
            ("stride2_odd", (2, 3, 5, 7), 2, 6),
            ("stride2_even", (1, 2, 6, 4), 2, 4),
            ("stride1", (2, 3, 3, 2), 1, 3),
            ("stride3", (1, 2, 7, 5), 3, 9),
        ]
    ):
        g = torch.Generator().manual_seed(600 + seed)
        x = leaf(normal(g, *shape))
        front = (out - shape[1]) // 2
        y = F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, front, out - shape[1] - front))
        dy = normal(g, *y.shape)
        y.backward(dy)
        write(
            "shortcut/" + name,
            "every stride-th pixel, channels zero-padded on both sides",
            stride=stride,
            x=nhwc(x),
            y=nhwc(y),
            dy=nhwc(dy),
            dx=nhwc(x.grad),
        )


POOLS = {  # input NCHW, kernel, stride, pad
    "two": ((2, 3, 4, 6), (2, 2), (2, 2), (0, 0)),
    "remainder": ((1, 2, 5, 7), (2, 2), (2, 2), (0, 0)),
    "stem": ((2, 3, 7, 6), (3, 3), (2, 2), (1, 1)),
    "overlap": ((1, 5, 5, 5), (3, 3), (1, 1), (1, 1)),
    "lopsided": ((2, 2, 6, 7), (2, 3), (1, 2), (0, 1)),
}


def maxpool():
    for seed, (name, (shape, kernel, stride, pad)) in enumerate(
        list(POOLS.items()) + [("ties", ((2, 3, 6, 6), (3, 3), (2, 2), (1, 1)))]
    ):
        g = torch.Generator().manual_seed(700 + seed)
        # Few different values make ties; otherwise a permutation has none.
        count = math.prod(shape)
        x = (
            torch.randint(-2, 2, shape, generator=g).double()
            if name == "ties"
            else ((torch.randperm(count, generator=g) - count // 2).double() / 32).reshape(shape)
        )
        x = leaf(x)
        y, flat = F.max_pool2d(x, kernel, stride, pad, return_indices=True)
        dy = normal(g, *y.shape)
        y.backward(dy)
        oy = torch.arange(y.shape[2]).reshape(-1, 1) * stride[0] - pad[0]
        ox = torch.arange(y.shape[3]).reshape(1, -1) * stride[1] - pad[1]
        index = (flat // shape[3] - oy) * kernel[1] + (flat % shape[3] - ox)
        write(
            "maxpool/" + name,
            "torch.nn.functional.max_pool2d; index is the position in the window",
            kernel=kernel,
            stride=stride,
            pad=pad,
            x=nhwc(x),
            y=nhwc(y),
            index=nhwc(index),
            dy=nhwc(dy),
            dx=nhwc(x.grad),
        )


def avgpool():
    for seed, (name, (shape, kernel, stride, pad)) in enumerate(POOLS.items()):
        for valid in [False, True]:
            if valid and pad == (0, 0):
                continue
            g = torch.Generator().manual_seed(800 + seed)
            x = leaf(normal(g, *shape))
            y = F.avg_pool2d(x, kernel, stride, pad, count_include_pad=not valid)
            dy = normal(g, *y.shape)
            y.backward(dy)
            write(
                "avgpool/" + name + ("_valid" if valid else ""),
                "torch.nn.functional.avg_pool2d",
                kernel=kernel,
                stride=stride,
                pad=pad,
                count_valid_only=int(valid),
                x=nhwc(x),
                y=nhwc(y),
                dy=nhwc(dy),
                dx=nhwc(x.grad),
            )
    g = torch.Generator().manual_seed(820)
    x = leaf(normal(g, 3, 5, 4, 7))
    y = x.mean((2, 3))
    dy = normal(g, *y.shape)
    y.backward(dy)
    write(
        "global_avgpool/small",
        "the mean over height and width",
        x=nhwc(x),
        y=y,
        dy=dy,
        dx=nhwc(x.grad),
    )


def losses():
    for seed, (name, n, classes, smoothing, spread) in enumerate(
        [
            ("plain", 5, 7, 0.0, 1),
            ("smoothed", 4, 3, 0.1, 1),
            ("far_apart", 3, 5, 0.0, 300),
            ("one", 1, 2, 0.25, 1),
        ]
    ):
        g = torch.Generator().manual_seed(900 + seed)
        logits = leaf(normal(g, n, classes) * spread)
        labels = torch.randint(0, classes, (n,), generator=g)
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        loss.backward()
        write(
            "softmax_cross_entropy/" + name,
            "torch.nn.functional.cross_entropy, mean over the batch",
            smoothing=smoothing,
            logits=logits,
            labels=labels,
            loss=loss,
            hits=(logits.argmax(1) == labels).sum(),
            dlogits=logits.grad,
        )
    g = torch.Generator().manual_seed(950)
    prediction, target = leaf(normal(g, 3, 2, 2, 5)), normal(g, 3, 2, 2, 5)
    loss = F.mse_loss(prediction, target)
    loss.backward()
    write(
        "mse/small",
        "torch.nn.functional.mse_loss, mean over all elements",
        prediction=prediction,
        target=target,
        loss=loss,
        dprediction=prediction.grad,
    )


def optimizer():
    cases = {
        "sgd": (torch.optim.SGD, dict(lr=0.1)),
        "sgd_momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.01)),
        "sgd_nesterov": (
            torch.optim.SGD,
            dict(lr=0.05, momentum=0.8, weight_decay=0.02, nesterov=True),
        ),
        "adam": (torch.optim.Adam, dict(lr=0.01)),
        "adam_decay": (
            torch.optim.Adam,
            dict(lr=0.02, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.1),
        ),
        "adamw": (torch.optim.AdamW, dict(lr=0.02, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)),
    }
    for seed, (name, (kind, options)) in enumerate(cases.items()):
        g = torch.Generator().manual_seed(1000 + seed)
        w, gradients, after = leaf(normal(g, 7)), normal(g, 5, 7), []
        before = w.detach().clone()
        rule = kind([w], **options)
        for gradient in gradients:
            w.grad = gradient.clone()
            rule.step()
            after.append(w.detach().clone())
        beta1, beta2 = options.get("betas", (0.9, 0.999))
        write(
            "optimizer/" + name,
            "torch.optim.%s, five steps" % kind.__name__,
            rate=options["lr"],
            momentum=options.get("momentum", 0),
            nesterov=int(options.get("nesterov", False)),
            beta1=beta1,
            beta2=beta2,
            epsilon=options.get("eps", 1e-8),
            weight_decay=options.get("weight_decay", 0),
            w=before,
            gradients=gradients,
            after=torch.stack(after),
        )
    g = torch.Generator().manual_seed(1050)
    gradients = [normal(g, 5), normal(g, 3)]
    for name, limit in [("clip", 0.5), ("clip_idle", 100.0)]:
        parameters = [leaf(torch.zeros(5)), leaf(torch.zeros(3))]
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        write(
            "optimizer/" + name,
            "torch.nn.utils.clip_grad_norm_ over two parameters",
            clip_norm=limit,
            a=gradients[0],
            b=gradients[1],
            norm=norm,
            a_clipped=parameters[0].grad,
            b_clipped=parameters[1].grad,
        )


def half():
    ties = [
        1 + 2.0**-11,
        1 + 3 * 2.0**-11,
        2 - 2.0**-11,
        2 - 2.0**-12,
        2.0**-14 - 2.0**-25,
        3 * 2.0**-25,
        5 * 2.0**-25,
    ]
    plain = [
        0.0,
        1.0,
        0.1,
        1 / 3,
        65504.0,
        65503.0,
        2.0**-14,
        2.0**-24,
        2.0**-15,
        1e-6,
        1234.567,
        0.999755859375,
        2049.0,
        2051.0,
    ]
    g = torch.Generator().manual_seed(1100)
    drawn = (
        torch.randn(100, generator=g) * 2.0 ** torch.randint(-20, 14, (100,), generator=g)
    ).tolist()
    value = torch.tensor(plain + ties + drawn).float()
    value = torch.cat([value, -value])
    bits = value.half().view(torch.int16).int() & 0xFFFF
    write(
        "half/round",
        "torch float32 to float16, as bits; nothing here overflows or vanishes",
        value=value.double(),
        bits=bits,
        back=value.half().double(),
    )


def norm():
    """METHODS A.10 in double, written on its own; no element lies near a level boundary. Below 4
    bits the outermost boundaries between levels follow thresholds up to 2.7 (src/codec/METHODS.md).
    """
    clips = {1: 1.596, 2: 1.99, 3: 2.34, 4: 2.69, 5: 3.01, 6: 3.33, 8: 3.84}
    pairs = [
        (1, 0.25),
        (-0.75, 0.5),
        (0.5, -0.625),
        (-1.5, -1),
        (0, 0.5),
        (0, -0.5),
        (1, 0),
        (2, -1),
    ]
    pairs += [
        (2.0**-20, 0.5),
        (-(2.0**-20), 0.5),
        (2.0**-130, -1),
        (0.25, 16),
        (-0.25, 16),
        (-3, 2),
    ]
    pairs += [(1, 2.75), (1, -3.25), (1, 3.9375), (1, -1.75), (-1, -2.25)]
    gamma, beta = np.array(pairs, dtype=np.float64).T
    for bits, clip in [(b, clips[b]) for b in clips] + [(4, 3.0), (8, 3.0)]:
        random = np.random.default_rng(1200 + bits)
        xhat = random.standard_normal((24, gamma.size)).astype(np.float32).astype(np.float64)
        xhat[0], xhat[1] = 5.25, -5.25
        n = 2**bits
        step = 2 * clip / n
        origin, boundary = np.zeros(gamma.size), np.zeros(gamma.size)
        for c in range(gamma.size):
            if abs(gamma[c]) < 2.0**-126:
                boundary[c] = 0 if beta[c] > 0 else n
                continue
            t = -beta[c] / gamma[c]
            j = round(t / step) + n // 2
            boundary[c] = min(max(j, 0), n)
            if bits < 4:
                boundary[c] = min(max(j, 1), n - 1) if abs(t) <= 2.7 else n * (t > 0)
            if abs(t) <= 2.7 if bits < 4 else 0 <= j <= n:
                origin[c] = t - step * (boundary[c] - n // 2)
        level = (xhat - origin) / step
        near = np.abs(level - np.round(level)) < 1e-3
        xhat = np.where(near, xhat + 0.01 * step, xhat).astype(np.float32).astype(np.float64)
        level = (xhat - origin) / step
        assert np.all(np.abs(level - np.round(level)) > 1e-4)
        q = np.clip(np.floor(level) + n // 2, 0, n - 1)
        mask = (q >= boundary) != ((gamma < 0) & (np.abs(gamma) >= 2.0**-126))
        width, centre = step, origin
        if bits == 1:  # the means of N(0,1) on either side of the threshold, as polynomials
            width = step + 0.222777 * origin**2 - 0.0037775 * origin**4
            centre = 0.623752 * origin - 0.0102126 * origin**3
        back = (q - n / 2 + 0.5) * width + centre
        write(
            "norm/bits%d%s" % (bits, "_clip3" if clip == 3 else ""),
            "METHODS A.10",
            bits=bits,
            clip=clip,
            gamma=gamma,
            beta=beta,
            xhat=xhat,
            q=q,
            mask=mask.astype(int),
            xhat_decoded=back,
            value=mask * (gamma * back + beta),
        )


def training():
    """Ten steps of a small residual network; README.md draws it."""
    g = torch.Generator().manual_seed(1300)
    steps, batch, classes, rate = 10, 4, 5, 0.05
    fine = 4096
    p = {
        "conv1.weight": normal(g, 8, 3, 3, 3, grid=fine, deviation=math.sqrt(2 / 27)),
        "bn1.weight": 1 + normal(g, 8, deviation=0.25),
        "bn1.bias": normal(g, 8, deviation=0.25),
        "conv2.weight": normal(g, 8, 8, 3, 3, grid=fine, deviation=math.sqrt(2 / 72)),
        "bn2.weight": 1 + normal(g, 8, deviation=0.25),
        "bn2.bias": normal(g, 8, deviation=0.25),
        "fc.weight": normal(g, classes, 8, grid=fine, deviation=math.sqrt(1 / 8)),
        "fc.bias": normal(g, classes, deviation=0.25),
    }
    p = {name: leaf(value) for name, value in p.items()}
    running = {
        "bn%d.running_%s" % (i, s): torch.full((8,), float(s == "var"))
        for i in (1, 2)
        for s in ("mean", "var")
    }
    inputs = normal(g, steps * batch, 3, 8, 8)
    labels = torch.randint(0, classes, (steps * batch,), generator=g)
    # The picture's brightness tells a little of the class, so that there is something to learn.
    inputs = inputs + (labels.double() - 2).reshape(-1, 1, 1, 1) / 4

    def ours(name, value):
        if name == "fc.weight":
            return value.t()
        return rsck(value) if value.dim() == 4 else value

    def state(suffix):
        both = {
            **{k: v.detach().clone() for k, v in p.items()},
            **{k: v.clone() for k, v in running.items()},
        }
        return {suffix + "." + k: ours(k, v) for k, v in both.items()}

    decayed = ("conv1.weight", "conv2.weight", "fc.weight")
    rule = torch.optim.SGD(
        [
            dict(params=[p[k] for k in p if k in decayed], weight_decay=1e-4),
            dict(params=[p[k] for k in p if k not in decayed], weight_decay=0.0),
        ],
        lr=rate,
        momentum=0.9,
    )
    tensors = dict(
        rate=rate,
        momentum=0.9,
        weight_decay=1e-4,
        inputs=nhwc(inputs),
        labels=labels,
        **state("initial")
    )
    losses, hits = [], []
    for step in range(steps):
        x, label = inputs[step * batch :][:batch], labels[step * batch :][:batch]
        x = F.conv2d(x, p["conv1.weight"], None, 1, 1)
        x = F.batch_norm(
            x,
            running["bn1.running_mean"],
            running["bn1.running_var"],
            p["bn1.weight"],
            p["bn1.bias"],
            True,
        )
        x = F.max_pool2d(torch.relu(x), 2)
        z = F.conv2d(x, p["conv2.weight"], None, 1, 1)
        z = F.batch_norm(
            z,
            running["bn2.running_mean"],
            running["bn2.running_var"],
            p["bn2.weight"],
            p["bn2.bias"],
            True,
        )
        x = torch.relu(z + x).mean((2, 3))
        logits = F.linear(x, p["fc.weight"], p["fc.bias"])
        loss = F.cross_entropy(logits, label)
        losses.append(loss.item())
        hits.append((logits.argmax(1) == label).sum().item())
        rule.zero_grad()
        loss.backward()
        rule.step()
    write(
        "training/residual",
        "ten steps of SGD on the network of README.md",
        **tensors,
        losses=losses,
        hits=hits,
        **state("final")
    )


if __name__ == "__main__":
    conv2d()
    dense()
    batchnorm(relu=False)
    batchnorm(relu=True)
    elementwise()
    shortcut()
    maxpool()
    avgpool()
    losses()
    optimizer()
    half()
    norm()
    training()
