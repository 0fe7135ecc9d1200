"""Makers of broken and hostile content: JSON values, bytes, archives, images; each seeded by its random generator."""

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

RAW = (
    "null", "true", "-1", "0", "1", "3", "1.5", "-0.0", "1e308", "1e400", "-1e400", "NaN", "Infinity", "-Infinity",
    "9" * 400, "1" + "0" * 5000, "1000000000", "100000", '""', '"x"', '"../victim.png"', '"/etc/passwd"', '"nan"',
    '"\\u0000"', '"\\ud800"', '"' + "y" * 100_000 + '"', "[]", "{}", "[[]]", '{"a": 1}', "[" * 900 + "]" * 900,
    "[" * 100_000 + "]" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000, "[null, null]", '["a", "b"]',
    "18446744073709551616",
)  # fmt: skip
"""JSON texts that stand where another value is expected."""
WHOLE = (
    b"", b"\n", b"null", b"[]", b"{}", b"3", b'"text"', b"{", b"[" * 100_000, b"\xff\xfe\x00", b"\x00" * 100,
    b"\xef\xbb\xbf{}", b"{}{}", b"not json", b"NaN", b"9" * 5000, b'{"a": 1, "a": 2}', b"[1,2,", b"\x89PNG\r\n\x1a\n",
)  # fmt: skip
"""Contents that replace a whole JSON file."""
NUMBERS = (
    "nan", "inf", "-inf", "-1", "0", "1e400", "-1e400", "1e308", "-1e308", "1e30", "99999999999999999999", "9" * 400,
    "",
    " ", "abc", "0x10", "1e-320", "-0", "2.5", "1,2", "--", "\u0664", "1e5", "-5", "1000000000",
)  # fmt: skip
"""Texts for a numeric option."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a tree."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, entry in value.items():
            found += places(entry, (*path, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value[:30]):
            found += places(entry, (*path, index))
    return found


def spoiled_json(rng: random.Random, value: Any) -> tuple[bytes, str]:
    """Return a JSON text with something wrong in it, and what; the value itself is not changed."""
    if rng.random() < 0.15:
        whole = rng.choice(WHOLE)
        return whole, f"whole {whole[:20]!r}"
    if rng.random() < 0.1:
        text = json.dumps(value).encode()
        return spoiled_bytes(rng, text)
    tree = json.loads(json.dumps(value))
    found = places(tree)
    if not found:
        return rng.choice(WHOLE), "whole"
    path = rng.choice(found)
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    action = rng.choice(("replace",) * 7 + ("delete", "double", "rename"))
    note = f"{action} {'.'.join(map(str, path))}"
    if action == "delete":
        del parent[path[-1]]
    elif action == "double" and isinstance(parent, list):
        parent.append(parent[path[-1]])
    elif action == "rename" and isinstance(parent, dict):
        parent[str(path[-1]) + "x"] = parent.pop(path[-1])
    else:
        raw = rng.choice(RAW)
        parent[path[-1]] = "@@HERE@@"
        return json.dumps(tree).replace('"@@HERE@@"', raw).encode("utf-8", "surrogatepass"), f"{note} by {raw[:30]}"
    return json.dumps(tree).encode(), note


def spoiled_bytes(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Return the content cut, with other bytes, with a part doubled or missing."""
    if not content:
        return b"\0", "a zero byte"
    at = rng.randrange(len(content))
    match rng.randrange(6):
        case 0:
            return content[:at], f"cut at {at}"
        case 1:
            return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :], f"another byte at {at}"
        case 2:
            return content[:at] + rng.randbytes(rng.randint(1, 64)) + content[at:], f"more bytes at {at}"
        case 3:
            return content[:at] + content[at + rng.randint(1, 64) :], f"bytes missing at {at}"
        case 4:
            early = rng.randrange(min(len(content), 256))
            number = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
            return content[:early] + number + content[early + 4 :], f"a large number at {early}"
        case _:
            return content + content[at:], f"a part doubled from {at}"


def spoiled_safetensors(rng: random.Random, content: bytes) -> tuple[bytes, str]:
    """Return a safetensors file with its header changed (or its bytes)."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    if rng.random() < 0.3:
        return spoiled_bytes(rng, content)
    text, note = spoiled_json(rng, header)
    return struct.pack("<Q", len(text)) + text + content[8 + length :], f"header: {note}"


def with_metadata(content: bytes, change: Callable[[dict[str, str]], None]) -> bytes:
    """Return a safetensors file with other metadata."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header["__metadata__"])
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int, *extra: bytes) -> bytes:
    """Return a PNG of zeros with that header; only as much data as 13,000 rows need is really there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * min((3 * width + 1) * height, 1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@cache
def hostile_images() -> dict[str, bytes]:
    """Return contents that stand in an image file."""
    bomb = zlib.compress(b"\0" * 200_000_000, 9)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(canary) (w) file closefile\nshowpage\n%%EOF\n"
    return {
        "postscript": script,
        "postscript binary": b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(script)) + b"\0" * 20 + script,
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "fits": b"SIMPLE  =                    T" + b" " * 2850,
        "wide": png_of(100_000, 1),
        "tall": png_of(1, 100_000),
        "13000": png_of(13_000, 13_000),
        "60000": png_of(60_000, 60_000),
        "text bomb": png_of(64, 64, chunk(b"zTXt", b"Comment\0\0" + bomb)),
        "icc bomb": png_of(64, 64, chunk(b"iCCP", b"x\0\0" + bomb)),
        "empty": b"",
        "text": b"hello",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "gif head": b"GIF89a\xff\xff\xff\xff",
        "xbm": b"#define a_width 99999\n#define a_height 99999\nstatic char a_bits[] = {0};\n",
        "xpm": b'/* XPM */\nstatic char *a[] = {"60000 60000 1 1"};\n',
        "ppm": b"P6 65000 65000 255\n\0",
        "pcx": b"\x0a\x05\x01\x08" + b"\xff" * 124,
        "dds": b"DDS " + struct.pack("<I", 124) + b"\xff" * 120,
        "tiff": b"II*\0" + b"\xff" * 100,
        "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + b"\xff" * 200,
        "jpeg head": b"\xff\xd8\xff\xe0\0\x10JFIF",
        "webp": b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\0" * 30,
        "ico": b"\0\0\1\0\1\0\0\0\0\0\1\0\x20\0\xff\xff\xff\x7f\x16\0\0\0",
        "mpo": b"\xff\xd8\xff\xe2\0\x10MPF\0II*\0",
        "icns": b"icns" + struct.pack(">I", 1 << 30) + b"\0" * 32,
        "eps in text": b"\n" * 10 + script,
    }


def zipped(members: dict[str, bytes], *, packed: bool = False) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED if packed else None)
    return buffer.getvalue()


def spoiled_zip(rng: random.Random, members: dict[str, bytes]) -> tuple[bytes, str]:
    """Return an archive with damaged bytes, odd fields or odd names."""
    content = zipped(members)
    match rng.randrange(4) if rng.random() < 0.98 else 4:
        case 0:
            return spoiled_bytes(rng, content)
        case 1:  # a field of the central directory: versions, flags, method, sizes, offset
            at = content.rindex(b"PK\x01\x02") + rng.choice((4, 5, 6, 8, 10, 16, 20, 24, 28, 30, 42))
            value = rng.choice((b"\xff", b"\xff\xff", b"\0\0", b"\x63\0", b"\xff\xff\xff\xf0", b"\xff\xff\xff\xff"))
            return content[:at] + value + content[at + len(value) :], f"field at {at} is {value!r}"
        case 2:
            name = rng.choice(
                ("../canary.png", "/tmp/canary.png", "a" * 5000 + ".png", "", ".", "..", "x\0y.png", "\n.png")
            )
            return zipped({**members, name: rng.choice(list(members.values()))}), f"member {name[:20]!r}"
        case 3:
            some = rng.choice(list(members))
            kind, image = rng.choice(list(hostile_images().items()))
            return zipped({**members, some: image}), f"{some} is {kind}"
        case _:
            some = rng.choice(list(members))
            return zipped({**members, some: b"\0" * 300_000_000}, packed=True), f"{some} is a bomb"
