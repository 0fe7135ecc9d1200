"""Clothes on shoulders."""

from panohead.synthetic.head import build_head
from panohead.synthetic.mesh import Material
from synthetic.altered import person_with


def test_a_garment_covers_the_shoulders_and_bare_ones_have_none() -> None:
    dressed, bare = (build_head(person_with(2, clothes=c, headwear="none")) for c in ("crew", "none"))
    assert sum(p.material is Material.CLOTH for p in dressed.parts) == 1
    assert sum(p.material is Material.CLOTH for p in bare.parts) == 0
    cloth = next(p for p in dressed.parts if p.material is Material.CLOTH)
    assert cloth.vertices[:, 1].max() < 0  # below the face
    # Hidden skin is left out.
    assert len(dressed.parts[0].triangles) < len(bare.parts[0].triangles)
