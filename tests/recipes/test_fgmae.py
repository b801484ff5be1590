"""What is particular to FG-MAE: 468 numbers of edges and three indices of thirteen bands."""

from recipes.fgmae import radar, small_size


def test_the_published_targets():
    recipe = small_size()
    image = recipe.modalities[0]
    edges, indices = recipe.objectives
    assert edges.target.num_predicted(image, 0) == 13 * 9 * (16 // 8) ** 2
    assert indices.target.num_predicted(image, 0) == 3 * 16 * 16
    assert [o.weight for o in recipe.objectives] == [1.0, 1.0]


def test_radar_has_histograms_alone():
    assert [o.name for o in radar().objectives] == ["image_hog"]
    assert radar().modalities[0].num_channels == 2
