"""``panohead models``: known checkpoints, with hash, license and where their owners publish them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer

if TYPE_CHECKING:
    from panohead.known_models import KnownModel


@dataclass(kw_only=True)
class Models:
    """Known checkpoints: those in the package and official ones. Nothing is downloaded."""

    model: Annotated[str | None, tyro.conf.Positional] = None
    """A known name, for its card; or a file, to see which known model it is."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Print the list, a card, or what is known about a file."""
        from panohead.known_models import bundled_card, known_model, known_models
        from panohead.system.text import printable

        if self.model is None:
            for model in known_models():
                answer("\n".join([*_described(model), ""]))
            answer("Nothing is downloaded. 'panohead models NAME' shows a card, 'panohead models FILE' what a file is.")
            return
        if Path(self.model).is_file():
            answer(printable("\n".join(_about_file(Path(self.model)))))
            return
        model = known_model(self.model)
        answer("\n".join(_described(model)))
        if model.kind == "bundled":
            answer("\n" + bundled_card(model.name).rstrip())


def _described(model: "KnownModel") -> list[str]:
    return [
        f"{model.name} ({model.kind})",
        f"  about      {model.about}",
        f"  license    {model.license}",
        f"  published  {model.published}",
        f"  SHA-256    {model.sha256 or 'not known to this package'}",
        f"  use        {model.use}",
    ]


def _about_file(path: Path) -> list[str]:
    from panohead.known_models import recognized

    digest, model, by_hash = recognized(path)
    lines = [f"{path}", f"  SHA-256    {digest}"]
    if model is None:
        return [*lines, "  known as   none of the known models"]
    if by_hash:
        return [*lines, f"  known as   {model.name} (by its hash)", *_described(model)[1:]]
    if model.sha256 is None:
        why = "by its name alone: the owners' hash is not known, so nothing proves that it is their file"
    else:
        why = f"only by its name: the hash of {model.name} is {model.sha256}"
    return [*lines, f"  known as   {model.name} ({why})", *_described(model)[1:4]]
