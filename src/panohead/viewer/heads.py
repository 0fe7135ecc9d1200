"""Heads of all tabs: made when they are first shown, kept while they are in use, few at a time."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from panohead.attributes.named import Value
from panohead.errors import PanoHeadError, UsageError
from panohead.files.inside import inside
from panohead.head import Head
from panohead.inversion.reconstructed_head import LATENT_FILE
from panohead.predictor import Predictor
from panohead.viewer.choices import HeadChoice

CACHED_HEADS = 8
"""Heads whose tri-grids are kept between views (75 MB each at the paper's size)."""
KNOWN_HEADS = 16
"""Heads whose attributes are kept once they were found (some kB each)."""
KEPT_PER_TAB = 3
"""Reconstructions that a tab keeps in memory, each with its own tuned generator; the oldest goes first."""
_MAX_LISTED = 200
_LIBRARY = "library:"


class HeadShelf:
    """Heads by choice. Safe to use from several threads; a head is made by one of them only.

    Args:
        predictor: the generator.
        library: folder whose subfolders are reconstructions to open; None for none.
        opened: a reconstruction that was opened at the start, by its name.
    """

    def __init__(
        self, predictor: Predictor, library: Path | None = None, opened: dict[str, Head] | None = None
    ) -> None:
        self.predictor = predictor
        self._library = library
        self._lock = threading.RLock()
        self._cache: OrderedDict[HeadChoice, Head] = OrderedDict()
        self._kept: dict[str, Head] = dict(opened or {})
        self._photos: dict[str, Image.Image] = {}
        self._owners: dict[Hashable, list[str]] = {}
        self._count = 0
        self._edited: OrderedDict[HeadChoice, Head] = OrderedDict()

    @property
    def library_folder(self) -> Path | None:
        """Folder of the library; None for none."""
        return self._library

    def head(self, choice: HeadChoice) -> Head:
        """Return the head of a choice.

        Raises:
            UsageError: for numbers that this generator does not take.
            PanoHeadError: when a saved head is gone, or a reconstruction cannot be opened.
        """
        with self._lock:
            head = self._cache.get(choice)
            if head is None:
                self._cache[choice] = head = self._make(choice)
            head.begin()
            self._cache.move_to_end(choice)
            while len(self._cache) > CACHED_HEADS:
                self._cache.popitem(last=False)
            return head

    def attributes(self, choice: HeadChoice) -> dict[str, Value]:
        """Return the attributes of a head by name; about 0.3 s for a head that was not asked for before.

        Raises as :meth:`head`, and UsageError for a model without an attribute encoder.
        """
        return self._with_attributes(choice).attributes()

    def library(self) -> list[str]:
        """Return the keys of the reconstructions in the library, and of those that were opened at the start."""
        opened = [key for key in list(self._kept) if key.startswith(_LIBRARY)]
        if self._library is None or not self._library.is_dir():
            return opened
        names = sorted(path.parent.name for path in self._library.glob(f"*/{LATENT_FILE}"))[:_MAX_LISTED]
        return [*opened, *(key for name in names if (key := _LIBRARY + name) not in opened)]

    def keep(self, owner: Hashable, head: Head, name: str) -> str:
        """Keep a head for a tab and return its key; beyond :data:`KEPT_PER_TAB` its oldest one is forgotten."""
        with self._lock:
            self._count += 1
            key = f"{self._count}:{name}"
            head.forget()
            self._kept[key] = head
            keys = self._owners.setdefault(owner, [])
            keys.append(key)
            while len([k for k in keys if k in self._kept]) > KEPT_PER_TAB:
                self._forget(next(k for k in keys if k in self._kept))
            return key

    def keep_photo(self, owner: Hashable, photo: Image.Image) -> str:
        """Keep a tab's background photo in place of its earlier one, and return its key."""
        with self._lock:
            self._count += 1
            key = f"photo {self._count}"
            keys = self._owners.setdefault(owner, [])
            for old in [k for k in keys if k in self._photos]:
                del self._photos[old]
                keys.remove(old)
            keys.append(key)
            self._photos[key] = photo
            return key

    def photo(self, key: str) -> Image.Image | None:
        """Return a background photo; None when it is gone."""
        return self._photos.get(key)

    def kept_by(self, owner: Hashable) -> list[str]:
        """Return the keys of the heads that a tab keeps, in their order."""
        with self._lock:
            return [key for key in self._owners.get(owner, []) if key in self._kept]

    def leave(self, owner: Hashable) -> None:
        """Forget everything of a tab."""
        with self._lock:
            for key in self._owners.pop(owner, []):
                self._photos.pop(key, None)
                self._forget(key)

    def _forget(self, key: str) -> None:
        self._kept.pop(key, None)
        for cache in (self._cache, self._edited):
            for choice in [choice for choice in cache if choice.saved == key]:
                del cache[choice]

    def _make(self, choice: HeadChoice) -> Head:
        return self._with_attributes(choice) if choice.attributes else self._plain(choice)

    def _with_attributes(self, choice: HeadChoice) -> Head:
        """Return the head of a choice without what its views share; it knows its attributes."""
        plain = replace(choice, attributes=())
        with self._lock:
            head = self._edited.get(plain)
            if head is None:
                self._edited[plain] = head = self._plain(plain)
            self._edited.move_to_end(plain)
            while len(self._edited) > KNOWN_HEADS:
                self._edited.popitem(last=False)
        return head.with_attributes(**dict(choice.attributes))

    def _plain(self, choice: HeadChoice) -> Head:
        first = self._first(choice)
        if choice.needs_second:
            second = self._base(choice.second_seed, choice.truncation_psi)
            if choice.blend > 0:
                first = self.predictor.interpolate(first, second, choice.blend)
            if choice.mixed_rows is not None:
                low, high = choice.mixed_rows
                rows = first.ws.shape[1]
                if high >= rows:
                    raise UsageError(f"rows of ws go from 0 to {rows - 1}; {choice.mixed_rows} leaves that range")
                first = self.predictor.mix(first, second, range(low, high + 1))
        return first

    def _first(self, choice: HeadChoice) -> Head:
        if not choice.saved:
            return self._base(choice.seed, choice.truncation_psi)
        if choice.saved in self._kept:
            return self._kept[choice.saved]
        name = choice.saved.removeprefix(_LIBRARY)
        if self._library is None or name == choice.saved:
            raise PanoHeadError("this saved head is no longer kept; choose another")
        folder = inside(self._library, name)
        if folder.parent != self._library:
            raise PanoHeadError(f"{name!r} is no folder of the library; choose another")
        plain = HeadChoice(saved=choice.saved)  # whatever else the tab has chosen: a reconstruction is opened once
        if plain not in self._cache:
            self._cache[plain] = self.predictor.open_reconstruction(folder)
        return self._cache[plain]

    def _base(self, seed: int, truncation_psi: float) -> Head:
        return self.predictor.sample(seed, truncation_psi=truncation_psi)
