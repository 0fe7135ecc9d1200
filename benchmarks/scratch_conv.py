"""Temporary: fast convolutions against the plain formulation, layer by layer, interleaved, medians of CPU seconds.

Usage: python benchmarks/scratch_conv.py [threads] [repeats]
"""

import sys
import time

import torch
import torch.nn.functional as F

from panohead.ops.fast_upsample import add_upsampled
from panohead.ops.resample import fir_filter, upsample2d
from panohead.ops.winograd import conv3x3_winograd, upconv3x3, worthwhile
from panohead.ops.winograd_weights import pack_up_weight, pack_weight

SR = [("up", 32, 256, 128), ("conv", 256, 256, 256), ("rgb", 256, 3, 256), ("skip", 3, 3, 128)]
SR += [("up", 256, 128, 256), ("conv", 128, 128, 512), ("rgb", 128, 3, 512), ("skip", 3, 3, 256)]


def synthesis(resolution, base, colours):
    layers, before = [], None
    size = 4
    while size <= resolution:
        channels = min(base // size, 512)
        if before is not None:
            layers.append(("up", before, channels, size // 2))
            layers.append(("skip", colours, colours, size // 2))
        layers += [("conv", channels, channels, size), ("rgb", channels, colours, size)]
        before, size = channels, size * 2
    return layers


def plain(kind, x, weight, style, bias, noise):
    if kind == "skip":
        return upsample2d(x, fir_filter())
    w = weight * style[0][None, :, None, None]
    if kind == "rgb":
        return F.conv2d(x, w) + bias[:, None, None]
    w = w * w.square().sum(dim=(1, 2, 3), keepdim=True).add(1e-8).rsqrt()
    if kind == "conv":
        x = F.conv2d(x, w, padding=1)
    else:
        x = F.conv_transpose2d(x, w.transpose(0, 1), stride=2)
        c = x.shape[1]
        x = F.conv2d(F.pad(x, (1, 1, 1, 1)), (fir_filter() * 4).expand(c, 1, 4, 4), groups=c)
    return F.leaky_relu(x.add_(noise).add_(bias[:, None, None]), 0.2).mul_(2**0.5).clamp_(-256, 256)


def fast(kind, x, weight, style, bias, noise, packed, energy, extra):
    if kind == "skip":
        return add_upsampled(x, extra)
    if kind == "rgb":
        return F.conv2d(x, (weight * style[0][None, :, None, None]).contiguous(memory_format=torch.channels_last), bias)
    d = torch.rsqrt(style.square() @ energy.T + 1e-8)  # = packed.demodulation(style)
    ending = dict(style=style, demodulation=d, noise=noise, bias=bias, activation="lrelu", clamp=256)
    if kind == "conv" and worthwhile(x, weight):
        return conv3x3_winograd(x, packed, **ending)
    if kind == "up" and worthwhile(x, weight):
        return upconv3x3(x, packed, **ending)
    x = x * style[:, :, None, None]
    if kind == "conv":
        x = F.conv2d(x, packed, padding=1)
    else:
        x = F.conv_transpose2d(x, packed, stride=2)
        c = x.shape[1]
        x = F.conv2d(F.pad(x, (1, 1, 1, 1)), (fir_filter() * 4).expand(c, 1, 4, 4), groups=c)
    x = x.mul_(d[:, :, None, None]).add_(noise).add_(bias[:, None, None])
    return F.leaky_relu(x, 0.2).mul_(2**0.5).clamp_(-256, 256)


def case(kind, ins, outs, size):
    x = torch.randn(1, ins, size, size)
    weight = torch.randn(outs, ins, 1, 1) if kind == "rgb" else torch.randn(outs, ins, 3, 3)
    style, bias = torch.rand(1, ins) + 0.5, torch.randn(outs)
    big = size * 2 if kind == "up" else size
    noise = torch.randn(big, big)
    packed = pack_weight(weight) if kind == "conv" else pack_up_weight(weight) if kind == "up" else None
    if not worthwhile(x, weight):  # small: shared weight, kept channels-last
        packed = weight.contiguous(memory_format=torch.channels_last)
        packed = weight.transpose(0, 1).contiguous(memory_format=torch.channels_last) if kind == "up" else packed
    energy = weight.square().sum(dim=(2, 3))
    extra = torch.randn(1, outs, 2 * size, 2 * size).contiguous(memory_format=torch.channels_last)
    fast_x = x.contiguous(memory_format=torch.channels_last)
    return (
        lambda: plain(kind, x, weight, style, bias, noise),
        lambda: fast(kind, fast_x, weight, style, bias, noise, packed, energy, extra),
    )


def main():
    threads, repeats = (int(a) for a in (sys.argv[1:] + ["1", "5"][len(sys.argv) - 1 :])[:2])
    torch.set_num_threads(threads)
    clock = time.perf_counter if threads > 1 else time.thread_time
    median = lambda v: sorted(v)[len(v) // 2]
    a, b = torch.randn(2, 2000, 2000)
    torch.set_num_threads(1)
    gemm = []
    for _ in range(5):
        t = clock()
        torch.mm(a, b)
        gemm.append((clock() - t) * 100e9 / 16e9)
    y = median(gemm)
    torch.set_num_threads(threads)
    print(f"threads {threads}; Y = {y:.3f} s; seconds are {clock.__name__}")
    networks = {"superresolution": SR, "backbone": synthesis(256, 32768, 288), "background": synthesis(128, 16384, 32)}
    with torch.inference_mode():
        for name, layers in networks.items():
            total = [0.0, 0.0]
            for layer in layers:
                functions = case(*layer)
                times = [[], []]
                for _ in range(repeats):
                    for f, list_ in zip(functions, times, strict=True):
                        t = clock()
                        f()
                        list_.append(clock() - t)
                p, q = (median(v) for v in times)
                total[0] += p
                total[1] += q
                print(f"  {layer!s:30} plain {p * 1e3:8.1f} ms  fast {q * 1e3:8.1f} ms  {p / q:5.2f}x", flush=True)
            p, q = total
            print(f"{name}: plain {p:.3f} s ({p / y:.2f} Y), fast {q:.3f} s ({q / y:.2f} Y), {p / q:.2f}x", flush=True)


if __name__ == "__main__":
    main()
