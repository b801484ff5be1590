"""Where graphs begin."""

import pytest
import torch

from modalities.audio import AudioSpectrogram
from modalities.audio.graph_front import SoundFront
from omnimask.foundation.errors import RecipeError
from omnimask.tokens.modality import Visit
from omnimask.transfer.exporting.front import CollatedFront, TokenFront, front_of
from tests.unit.export_cases import Traced, traced_samples
from tests.unit.toy import Toy, ToyFiles


def test_a_modalitys_own_package_says_where_its_graph_begins():
    assert isinstance(front_of(AudioSpectrogram(), "samples"), SoundFront)
    assert isinstance(front_of(AudioSpectrogram(), "tokens"), TokenFront)
    assert isinstance(front_of(Traced(), "samples"), CollatedFront)


@pytest.mark.parametrize("start", ["samples", "tokens"])
def test_tokens_are_the_modalitys(start):
    samples = traced_samples()
    front = front_of(samples.modality, start)
    values, coords, valid = front.tokens(front.inputs(samples.samples))
    assert torch.equal(values, samples.tokens.values)
    assert torch.equal(coords, samples.tokens.coords)
    assert torch.equal(valid, samples.tokens.valid)


def test_only_what_split_reads_and_what_holds_numbers_is_an_input():
    assert list(front_of(Traced(), "samples").inputs(traced_samples().samples)) == ["wave", "real"]


def test_lengths_are_free_where_tokens_have_no_grid():
    assert CollatedFront(Traced()).free_length
    assert not CollatedFront(Toy()).free_length


def test_a_split_of_host_integers_is_refused():
    source = ToyFiles().open(".", Toy())
    samples = [source.read(i, Visit(key=0, augment=False)) for i in range(3)]
    with pytest.raises(
        RecipeError, match=r"Toy depend on .* num_tokens; export it with --from tok"
    ):
        front_of(Toy(), "samples").inputs(samples)


def test_an_unknown_start_is_refused():
    with pytest.raises(RecipeError, match=r"samples or tokens, got 'token'; did you mean tokens"):
        front_of(Toy(), "token")
