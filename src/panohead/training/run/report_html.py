"""The look of a run's page, and its plain parts: tables and lists. Everything from outside is escaped here."""

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --card: #f6f8fa; --ink: #1f2328; --soft: #59636e; --line: #d8dee4;
  --s0: #2563eb; --s1: #c2570c; --s2: #0f8a5f; --s3: #9333ea; --warn: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --card: #161b22; --ink: #e6edf3; --soft: #9198a1;
  --line: #30363d; --s0: #6ea8fe; --s1: #f0883e; --s2: #56d4a0; --s3: #c99bff; --warn: #d29922; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 80rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem; }
p { margin: .4rem 0; } .soft, figcaption { color: var(--soft); } a { color: var(--s0); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .7rem; margin: 1.2rem 0; }
.tiles div, figure, details { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.tiles div { padding: .6rem .8rem; } .tiles b { display: block; font-size: 1.25rem; font-weight: 600; }
.tiles span { color: var(--soft); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: .8rem; }
figure { margin: 0; padding: .6rem .7rem .3rem; }
figcaption { font-size: .85rem; } figcaption b { color: var(--ink); font-size: .95rem; }
figcaption span { white-space: nowrap; margin-right: .8rem; }
figcaption i { display: inline-block; width: .8rem; margin: 0 .3rem .25rem 0; border-top: .2rem solid; }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--line); } polyline { fill: none; stroke: currentColor; stroke-linejoin: round; }
.raw { opacity: .35; stroke-width: .8; } .mean { stroke-width: 1.8; } circle { fill: currentColor; }
.s0 { color: var(--s0); } .s1 { color: var(--s1); } .s2 { color: var(--s2); } .s3 { color: var(--s3); }
.hit { fill: transparent; } .hit:hover { fill: var(--soft); opacity: .18; }
img { display: block; max-width: 100%; height: auto; border-radius: .3rem; margin: .5rem 0; }
details { padding: .5rem .8rem; margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .88rem; margin: .5rem 0; }
th, td { text-align: left; padding: .15rem .9rem .15rem 0; border-top: 1px solid var(--line); vertical-align: top; }
th { font-weight: 400; color: var(--soft); } td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.notes { padding-left: 1.2rem; } .notes li { margin: .2rem 0; } .notes time { color: var(--warn); margin-right: .5rem; }
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole HTML page that needs nothing from the network. ``title`` is escaped; the body is HTML."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{chr(10).join(part for part in body if part)}
</body>
</html>
"""


def escaped(value: object) -> str:
    """Any value as text that is safe in an element or a quoted attribute."""
    return html.escape(readable(value))


def readable(value: object) -> str:
    """Numbers in at most six digits, None as a dash, lists as JSON, the rest as it is."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value)


def tiles(facts: Mapping[str, str]) -> str:
    """The few numbers to see first: value large, name below."""
    boxes = (f"<div><b>{escaped(value)}</b><span>{escaped(name)}</span></div>" for name, value in facts.items())
    return f'<div class="tiles">{"".join(boxes)}</div>' if facts else ""


def folded_table(title: str, rows: Mapping[str, Any], *, unfolded: bool = False) -> str:
    """A table of names and values behind a heading to click on."""
    lines = "".join(f"<tr><th>{escaped(name)}</th><td>{escaped(value)}</td></tr>" for name, value in rows.items())
    return (
        f"<details{' open' if unfolded else ''}><summary>{escaped(title)}</summary>"
        f'<div class="scroll"><table>{lines}</table></div></details>'
    )


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted names; empty groups stay visible."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat.update(flattened(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
