"""Temporary: the compiled renderer and density query against the plain ones; one process, interleaved, medians.

Usage: python benchmarks/scratch_render.py [threads] [repeats]. CPU seconds; Y is a 100-GFLOP product of matrices on the
same threads (the original renders 48 + 48 samples of 64 x 64 rays in 1.55 Y on one thread: reference/performance.md).
"""

import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from panohead.geometry import Camera, rays_from_camera
from panohead.rendering import fused_cpu
from panohead.rendering.decoder import DecoderWeights
from panohead.rendering.field import TriGridField
from panohead.rendering.renderer import RayRandomness, RenderConfig, first_depths, render_rays


def scene(kind):
    random = torch.Generator().manual_seed(0)
    shape = (1, 3, 32, 3, 256, 256)
    if kind == "noise":
        planes = 2 * torch.randn(shape, generator=random)
    else:
        coarse = torch.randn(288, 1, 24, 24, generator=random)
        planes = 2.2 * F.interpolate(coarse, size=(256, 256), mode="bicubic").reshape(shape)
    weights = [torch.randn(s, generator=random) for s in ((64, 32), (64,), (33, 64), (33,))]
    output = weights[2] / 8
    output[0] = 10 * (output[0] - output[0].mean())
    decoder = DecoderWeights(weights[0] / math.sqrt(32), 0.1 * weights[1], output, 0.1 * weights[3])
    return TriGridField(planes, decoder, 1.0)


def product():
    a = torch.ones(1024, 1024)
    for _ in range(4):
        a @ a


def main(threads=1, repeats=7):
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    rays = rays_from_camera(Camera.orbit(35, 10).expand(1), 64)
    config = RenderConfig()
    randomness = RayRandomness(ray_jitter=torch.rand(1, 4096, 48), importance_u=torch.rand(4096, 48))
    axis = torch.linspace(-0.5, 0.5, 64)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(1, -1, 3)
    for kind in ("smooth", "noise"):
        field = scene(kind)
        texels = fused_cpu.texel_contiguous(field.planes)
        ready = TriGridField(texels, field.decoder, 1.0)

        def fused(ready=ready):
            depths = first_depths(*rays, config, randomness.jitter(rays[0], 48))
            return fused_cpu.render_rays(ready, *rays, depths, randomness.u(rays[0], 48))

        def plain(field=field):
            r = render_rays(field, *rays, config, randomness)
            return r.features, r.depth, r.weight_sum

        def original(field=field):  # colours of every sample, as the original composites them
            return render_rays(field.__call__, *rays, config, randomness).features

        jobs = {
            "Y": product,
            "render: compiled": fused,
            "render: plain": plain,
            "render: plain, colours": original,
            "reorder texels": lambda field=field: fused_cpu.texel_contiguous(field.planes),
            "density 64^3: compiled": lambda ready=ready: fused_cpu.query_density(ready, points),
            "density 64^3: plain": lambda field=field: field.density(points),
        }
        times = {name: [] for name in jobs}
        for repeat in range(repeats + 1):
            for name, job in jobs.items():
                start, wall = time.process_time(), time.perf_counter()
                job()
                if repeat:
                    times[name].append((time.process_time() - start, time.perf_counter() - wall))
        yard = np.median([t[0] for t in times["Y"]]) * 100 / (4 * 2 * 1.024**3)
        print(f"{kind}: Y = {yard:.2f} s; CPU median, CPU least, wall median, in Y")
        for name, values in times.items():
            cpu, wall = np.array(values).T
            print(
                f"  {name:24s} {np.median(cpu):.4f} {cpu.min():.4f} {np.median(wall):.4f} {np.median(cpu) / yard:.4f}"
            )
        ours, theirs = fused(), plain()
        print("  render errors", *(f"{float((a - b).abs().max()):.1e}" for a, b in zip(ours, theirs, strict=True)))
        error = (fused_cpu.query_density(ready, points) - field.density(points)).abs().max()
        print(f"  density error {float(error):.1e} of {float(field.density(points).abs().max()):.0f}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
