"""3MF files (3MF Consortium, core specification 1.3) of colored heads, for slicers and printers of many colors.

Colors are a color group of the materials extension, one entry a vertex color; slicers that print in one color skip it.
"""

import io
import zipfile
from collections.abc import Mapping
from html import escape

import numpy as np
from jaxtyping import Float, Int, UInt8

from panohead.media.provenance import NOTICE, software

_CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
_MATERIALS = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"
_TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/>
</Types>
"""
_RELATIONS = """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Target="/3D/3dmodel.model" Id="rel0" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/>
</Relationships>
"""
_UNITS = {"metre": "meter", "millimetre": "millimeter"}
_DATE = (1980, 1, 1, 0, 0, 0)  # the same mesh gives the same bytes


def encode_3mf(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    rgb: UInt8[np.ndarray, "vertex 3"] | None,
    metadata: Mapping[str, object],
) -> bytes:
    """Return the content of a .3mf file.

    Args:
        vertices: coordinates in ``metadata["unit"]``; world units, which the format does not know, pass as millimeters.
        faces: turned anticlockwise when viewed from outside.
        rgb: sRGB colors of the vertices.
        metadata: written as entries of the model, beside application and notice.
    """
    unit = _UNITS.get(str(metadata.get("unit")), "millimeter")
    head = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<model unit="{unit}" xml:lang="en-US" xmlns="{_CORE}" xmlns:m="{_MATERIALS}"'
        ' xmlns:p="https://github.com/panohead">',
        f'<metadata name="Title">Head</metadata><metadata name="Application">{escape(software())}</metadata>',
        f'<metadata name="Description">{escape(NOTICE)}</metadata>',
        *(f'<metadata name="p:{escape(key)}">{escape(str(value))}</metadata>' for key, value in metadata.items()),
        "<resources>",
    ]
    group = ""
    number = np.zeros(len(vertices), np.int64)
    if rgb is not None:
        palette, number = np.unique(rgb, axis=0, return_inverse=True)
        number = number.reshape(-1)
        colors = "".join(f'<m:color color="#{r:02X}{g:02X}{b:02X}"/>' for r, g, b in palette.tolist())
        head.append(f'<m:colorgroup id="1">{colors}</m:colorgroup>')
        group = ' pid="1"'
    body = ["\n".join(head), '<object id="2" type="model"><mesh><vertices>']
    body += [f'<vertex x="{x:.6g}" y="{y:.6g}" z="{z:.6g}"/>' for x, y, z in vertices.tolist()]
    body.append("</vertices><triangles>")
    corners = np.c_[faces, number[faces]].tolist()
    if group:
        body += [
            f'<triangle v1="{a}" v2="{b}" v3="{c}"{group} p1="{p}" p2="{q}" p3="{r}"/>' for a, b, c, p, q, r in corners
        ]
    else:
        body += [f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c, *_ in corners]
    body.append('</triangles></mesh></object></resources><build><item objectid="2"/></build></model>')
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        parts = {"[Content_Types].xml": _TYPES, "_rels/.rels": _RELATIONS, "3D/3dmodel.model": "\n".join(body)}
        for name, text in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), text.encode(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
