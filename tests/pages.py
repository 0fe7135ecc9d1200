"""A strict reader of the pages that the package writes."""

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "img", "br", "hr", "link", "input"}
COORDINATES = ("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "viewbox", "transform")
SHAPES = ("svg", "path", "use", "rect", "line", "text")


class ParsedPage(HTMLParser):
    """The elements of a page: every one closed in order; all numbers of the drawings.

    Attributes:
        names: tags, in order.
        attributes: (tag, name, value).
        texts: pieces of text by the tag that they stand in.
        coordinates: numbers of the drawings.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.coordinates: list[float] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name in COORDINATES and tag in SHAPES:
                self.coordinates += [float(number) for number in re.findall(r"[^ ,MLzCQ()a-z]+", value or "")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def values(self, attribute: str) -> list[str]:
        """All values of an attribute."""
        return [value for _, name, value in self.attributes if name == attribute]

    def links(self) -> list[str]:
        """All addresses of links, images and videos."""
        return self.values("href") + self.values("src")

    def all_text(self) -> str:
        """All texts but those of style sheet and scripts, joined by spaces."""
        return " ".join(text for tag, texts in self.texts.items() if tag not in ("style", "script") for text in texts)

    def head_facts(self) -> list[dict[str, Any]]:
        """What the heads to turn give to their script."""
        return [json.loads(text) for text in self._scripts("application/json")]

    def _scripts(self, kind: str) -> list[str]:
        # The reader reports a long script in one piece, and each script here has one attribute at most.
        kinds = [value for tag, name, value in self.attributes if (tag, name) == ("script", "type")]
        texts = self.texts.get("script", [])
        assert len(texts) == self.names.count("script")
        assert set(kinds) <= {"application/json"}
        return texts[: len(kinds)] if kind == "application/json" else texts[len(kinds) :]

    def check_scripts(self) -> None:
        """Check that nothing is executed but what the page's policy names, and that only for heads and image grids."""
        policies = [v for tag, name, v in self.attributes if (tag, name) == ("meta", "content") and "default-src" in v]
        assert len(policies) == self.values("http-equiv").count("Content-Security-Policy") == 1
        rules = dict(rule.strip().split(" ", 1) for rule in policies[0].split(";"))
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
        assert not re.search(r"https?:|\*|unsafe-(?!inline)", policies[0])
        heads = self.values("class").count("head")
        scripts = self._scripts("")
        browsers = self.values("class").count("browser")
        assert len(self.head_facts()) == heads + browsers
        assert len(scripts) == (3 if heads else 0) + (1 if browsers else 0)
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
        assert rules.get("script-src", "") == " ".join(f"'sha256-{text}'" for text in hashes)


def parse_page(text: str) -> ParsedPage:
    """Parse a page and check what holds for each: it is whole, safe, self-contained and accessible."""
    assert text.startswith("<!doctype html>\n")
    page = ParsedPage(text)
    assert page.names.count("h1") == page.names.count("title") - page.values("class").count("hint") == 1
    # Nothing is fetched from elsewhere and nothing is executed.
    page.check_scripts()
    assert not {"iframe", "object", "embed", "base", "form"} & set(page.names)
    assert not any(re.match(r"(\w+:)?//|(?!data:image/png;base64,)\w+:", link) for link in page.links())
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    # Small screens and dark ones.
    assert ("meta", "name", "viewport") in page.attributes
    assert "prefers-color-scheme: dark" in text
    # Images, drawings and videos are described in words, and videos play in the page.
    assert page.names.count("img") == len([a for a in page.attributes if a[:2] == ("img", "alt") and a[2]])
    assert page.names.count("svg") == len([a for a in page.attributes if a[:2] == ("svg", "aria-label") and a[2]])
    for needed in ("controls", "playsinline", "aria-label"):
        assert page.names.count("video") == len([a for a in page.attributes if a[:2] == ("video", needed)])
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(identifiers)
    assert all(math.isfinite(number) and abs(number) < 1e4 for number in page.coordinates)
    return page
