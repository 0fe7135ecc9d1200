"""Coordinates of the search: whitened w, and attributes with offsets."""

import pytest
import torch

import tiny
from panohead.inversion.fast_config import FastConfig
from panohead.inversion.search.search_space import AttributeSearch, SearchSpace, WhitenedSearch, people_whitening
from panohead.inversion.w_space import w_space

CONFIG = FastConfig(w_samples=256)
ROWS = 5


@pytest.fixture(scope="module", params=["whitened", "attributes"])
def space(request: pytest.FixtureRequest) -> SearchSpace:
    whitening = w_space(tiny.generator(), samples=256).whitening()
    if request.param == "whitened":
        return WhitenedSearch(whitening, CONFIG)
    return AttributeSearch(tiny.attribute_encoder(), whitening, CONFIG)


def test_a_w_has_a_start_and_a_start_its_ws(space: SearchSpace) -> None:
    start = space.random(torch.Generator().manual_seed(0))
    w = space.w_at(start)
    assert not torch.allclose(w, space.w_at(space.mean), atol=1e-2)
    torch.testing.assert_close(space.w_at(space.from_w(w)), w, atol=1e-3, rtol=1e-3)
    space.begin(start, ROWS)
    torch.testing.assert_close(space.ws(), w.expand(1, ROWS, -1))


def test_the_prior_grows_with_the_distance_to_the_mean_head(space: SearchSpace) -> None:
    values = []
    for share in (0.0, 1.0, 2.0):
        space.begin(share * space.random(torch.Generator().manual_seed(0)), ROWS)
        values.append([float(x.detach()) for x in space.priors()])
    assert values[0] == [0, 0]
    assert values[2][0] == pytest.approx(4 * values[1][0], rel=1e-3)
    assert values[1][1] == pytest.approx(1, abs=0.5)


def test_every_row_can_be_reached(space: SearchSpace) -> None:
    groups = space.begin(space.mean, ROWS)
    wanted = torch.randn(1, ROWS, tiny.CONFIG.w_dim, generator=torch.Generator().manual_seed(1)) + space.ws().detach()
    adam = torch.optim.Adam([{"params": list(g.tensors), "lr": 0.1} for g in groups])
    for _ in range(300):
        adam.zero_grad()
        loss = (space.ws() - wanted).square().mean()
        loss.backward()
        adam.step()
    assert float(loss.detach()) < 0.05


@torch.no_grad()
def test_w_of_random_people_are_white_in_their_coordinates() -> None:
    encoder = tiny.attribute_encoder()
    whitening = people_whitening(encoder, samples=4000, seed=1)
    search, rng = AttributeSearch(encoder, whitening, CONFIG), torch.Generator().manual_seed(2)
    # Along the widest axes; the narrowest are raised to a least deviation.
    people = torch.stack([whitening.from_w(search.w_at(search.random(rng))) for _ in range(600)])[:, :4]
    assert (people.mean(dim=0).abs() < 0.2).all()
    assert people.std(dim=0).max() < 1.2, "the random starts have no residual code, so at most 1"
    again = people_whitening(encoder, samples=4000, seed=1)
    assert torch.equal(again.deviation, whitening.deviation)
