"""``panohead import-official``: an official pickle to safetensors, without executing anything in it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer, say


@dataclass(kw_only=True)
class ImportOfficial:
    """Convert an official PanoHead or EG3D pickle to safetensors, without executing anything in it."""

    file: Annotated[Path, tyro.conf.Positional]
    """The official .pkl file."""
    out: Path
    """The .safetensors file to write."""
    networks: tuple[Literal["G_ema", "G", "D"], ...] = ("G_ema",)
    """Networks to keep."""
    half: bool = False
    """Store the weights in half precision (half the size)."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Read, convert, write."""
        from torch.nn import Module

        from panohead.checkpoint import save_checkpoint
        from panohead.errors import PanoHeadError
        from panohead.interop.official import load_networks

        found = load_networks(self.file)
        wanted: dict[str, Module] = {name: found[name] for name in self.networks if name in found}
        if len(wanted) < len(self.networks):
            missing = ", ".join(name for name in self.networks if name not in found)
            raise PanoHeadError(f"{self.file} holds {', '.join(found)} but not {missing}; choose with --networks")
        digest = save_checkpoint(
            self.out, wanted, notes={"source": self.file.name}, dtype="float16" if self.half else "float32"
        )
        for name, network in wanted.items():
            say(f"{name}: {sum(p.numel() for p in network.parameters()):,} parameters")
        answer(f"wrote {self.out} ({self.out.stat().st_size / 1e6:.1f} MB, sha256 {digest[:16]})")
