"""What the three backbones of the tri-grid cost, and how equivariant the alias-free ones are, with random weights.

    OMP_NUM_THREADS=1 taskset -c 1 python tools/measure_backbones.py --preset demo_64 panohead_512 --repeats 3

Milliseconds are processor time of one forward pass of one head (the median of the repeats, after one that is not
counted), and of a pass with gradients, so that other work on the machine does not count.
"""

import argparse
import copy
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from panohead.evaluation.equivariance import equivariance
from panohead.models.backbone import make_backbone
from panohead.ops import fast_paths
from panohead.presets import PRESETS, with_backbone
from panohead.stylegan.alias_free import AliasFreeSynthesis

BACKBONES = ("stylegan2", "stylegan3", "stylegan3_r")


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median processor time of some runs, after one."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return sorted(times[1:])[repeats // 2] * 1000


def measure(preset: str, backbone: str, options: argparse.Namespace) -> str:
    """Return one row of the table."""
    torch.manual_seed(0)
    config = with_backbone(PRESETS[preset](), backbone).generator
    network = make_backbone(config).eval()
    ws = torch.randn(1, 1, config.w_dim).expand(-1, network.num_ws, -1)
    parameters = sum(p.numel() for p in network.parameters()) / 1e6
    with torch.no_grad(), fast_paths.plain_only(), FlopCounterMode(display=False) as counter:
        copy.deepcopy(network).to("meta")(ws.to("meta"))  # counted, not computed
    forward = gradient = ""
    if options.repeats:
        with torch.no_grad():
            forward = f"{milliseconds(lambda: network(ws), options.repeats):.0f}"
        gradient = f"{milliseconds(lambda: network(ws).square().mean().backward(), options.repeats):.0f}"
    decibels = ["", "", ""]
    if isinstance(network, AliasFreeSynthesis) and options.moves:
        found = equivariance(network, ws, moves=options.moves)
        decibels = [f"{value:.1f}" for value in (found.translation, found.fraction, found.rotation)]
    cells = [preset, backbone, str(network.num_ws), f"{parameters:.2f}", f"{counter.get_total_flops() / 1e9:.2f}"]
    return " | ".join([*cells, forward, gradient, *decibels])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", default=["demo_64"], choices=sorted(PRESETS))
    parser.add_argument("--backbone", nargs="+", default=list(BACKBONES), choices=BACKBONES)
    parser.add_argument("--repeats", type=int, default=3, help="timed passes; 0 times nothing")
    parser.add_argument("--moves", type=int, default=4, help="moves of each kind; 0 measures no equivariance")
    options = parser.parse_args()
    print("preset | backbone | rows of ws | parameters (million) | GFLOP | ms forward | ms with gradients | EQ-T | "
          "EQ-T of fractions | EQ-R")  # fmt: skip
    for preset in options.preset:
        for backbone in options.backbone:
            print(measure(preset, backbone, options), flush=True)


if __name__ == "__main__":
    main()
