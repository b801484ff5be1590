import torch

from omnimask.masking import NearestMask
from omnimask.tokens.tokens import Tokens
from tests.unit.masking_cases import keys, layout, predicted


def test_hides_a_neighbourhood_of_a_random_centre():
    rows, n = 30, 40
    coords = torch.randn(rows, n, 3, generator=torch.Generator().manual_seed(0))
    whole = layout(cloud=Tokens.dense(torch.zeros(rows, n, 1), coords))
    (plan,) = NearestMask(ratio=0.5)(whole, keys(rows))
    centres = set()
    for row, hidden in enumerate(predicted(plan)):
        distance = torch.cdist(coords[row], coords[row])
        balls = [set(near.tolist()) for near in distance.argsort(dim=1)[:, :20]]
        assert set(hidden) in balls
        centres.add(balls.index(set(hidden)))
    assert len(centres) > 10


def test_invalid_tokens_are_neither_centre_nor_neighbour():
    coords = torch.arange(10.0)[:, None]
    tokens = Tokens.dense(torch.zeros(50, 10, 1), coords)
    valid = (torch.arange(10) < 5).expand(50, 10)
    whole = layout(
        cloud=type(tokens)(
            values=tokens.values,
            coords=tokens.coords,
            valid=valid,
            scorable=valid,
            num_valid=(5,) * 50,
            num_scorable=(5,) * 50,
            grid=None,
        )
    )
    (plan,) = NearestMask(ratio=0.2)(whole, keys(50))
    counts = torch.tensor(predicted(plan)).flatten().bincount()
    assert len(counts) == 5
    assert counts.max() < 22  # 10 expected, sigma 2.8; of invalid centres token 4 were nearest
