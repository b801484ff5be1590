"""Tokens in colours: components, likeness and attention, for modalities with and without easels."""

import torch

from omnimask.data.streams import open_held_out
from omnimask.report.drawing.feature_sheet import draw_features, untrained_like
from omnimask.report.drawing.features import (
    CHOSEN,
    NUM_CHOSEN,
    choose_tokens,
    paint,
    painted_features,
    pca_colors,
)
from omnimask.report.painting import ACROSS, easels
from omnimask.training.fitting import fit
from omnimask.training.step import build_model
from tests.unit.toy_recipe import toy_recipe


def test_components_are_ordered_and_stretched_and_what_is_not_valid_is_grey():
    features = torch.zeros(1, 101, 4)
    features[0, :, 2] = torch.linspace(-1, 1, 101)
    features[0, :, 0] = torch.cos(torch.linspace(0, 50, 101)) * 0.1
    valid = torch.ones(1, 101, dtype=torch.bool)
    valid[0, -1] = False
    colors = pca_colors(features, valid)[0]
    assert colors[-1].tolist() == [0.5, 0.5, 0.5]
    red = colors[:-1, 0]
    steps = red.diff()
    assert (steps >= 0).all() or (steps <= 0).all()  # the strongest component is the straight one
    assert (red.min(), red.max()) == (0.0, 1.0)
    assert (colors[:-1, 2] == 0.5).all()  # there is no third component


def test_chosen_tokens_differ_and_are_valid():
    values = torch.tensor([[9.0], [0.0], [0.1], [5.0], [-4.0]])
    valid = torch.tensor([False, True, True, True, True])
    assert choose_tokens(values, valid, 3) == [3, 4, 2]
    assert choose_tokens(values, valid & False, 3) == []
    assert len(choose_tokens(values, valid, 9)) == 4


def test_every_sample_is_painted_with_chosen_tokens_in_red():
    recipe = fit(toy_recipe())
    model = build_model(recipe).eval()
    group = open_held_out(recipe)[2].held_out_group([0, 4, 7])
    (view,) = model.views([group])
    painted = painted_features(model.backbone, untrained_like(recipe), view)
    assert set(painted) == set(view.tokens)
    for name, parts in painted.items():
        assert len(parts) == 3
        for index, part in enumerate(parts):
            assert len(part.titles) == len(part.colors) + 1
            assert ((part.colors >= 0) & (part.colors <= 1)).all()
            is_red = (part.colors == torch.tensor(CHOSEN)).all(dim=2)
            tokens = view.tokens[name]
            values, valid = tokens.values[index], tokens.valid[index]
            chosen = choose_tokens(values, valid, NUM_CHOSEN)
            assert is_red.sum(dim=1).tolist() == [0, 0, 0, *[1] * len(chosen), 0]
            assert is_red.nonzero()[:, 1].tolist() == chosen
            figure = paint(model.modalities[name], group.raw[name], part, index=index)
            assert len(figure.axes) == len(part.titles)


def test_a_sheet_has_every_stream_and_modality():
    model = build_model(fit(toy_recipe())).eval()
    sheet = draw_features(model, samples=1)
    assert [section.heading for section in sheet.sections] == [
        "toy",
        "other",
        "both: toy",
        "both: other",
    ]
    assert all(len(section.lines[0].samples) == 1 for section in sheet.sections)


def test_easels_stand_in_bands_and_belong_to_their_titles():
    titles = [f"title {number}" for number in range(ACROSS + 2)]
    figure, panels = easels(titles, rows=2, aspect=0.5)
    assert [column[0].get_title() for column in panels] == titles
    assert [axes for column in panels for axes in column] == figure.axes
