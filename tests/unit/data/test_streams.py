"""The order of samples and their keys: a pure function of (seed, step, rank)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch

from omnimask.data import streams as streams_module
from omnimask.data.streams import (
    Shard,
    Steps,
    StreamReader,
    open_held_out,
    open_streams,
)
from omnimask.foundation.errors import DataError
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Stream
from omnimask.tokens.modality import Sample, Visit
from omnimask.training.fitting import fit
from tests.unit.toy import Toy, ToyFiles, ToySource
from tests.unit.toy_recipe import TOYS, streams, toy_recipe


def steps_of(recipe: Recipe, shard: Shard | None = None) -> Steps:
    return Steps(recipe, open_streams(recipe), shard or Shard())


def seen(steps: Steps, step: int, stream: int = 0) -> list[tuple[str, int]]:
    """Names and keys of one stream's samples in a step."""
    return [
        (name, int(key))
        for groups in steps[step].micro
        for name, key in zip(groups[stream].names, groups[stream].keys)
    ]


def test_an_epoch_visits_every_sample_once_in_a_new_order_each_time():
    steps = steps_of(toy_recipe())
    epochs = [
        [name for step in range(6 * epoch, 6 * epoch + 6) for name, _ in seen(steps, step)]
        for epoch in (0, 1)
    ]
    assert len(set(epochs[0])) == 24
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert epochs[0] != epochs[1]


def test_a_key_depends_on_sample_epoch_and_seed_alone():
    recipe = toy_recipe()
    larger = replace(recipe, data=replace(recipe.data, streams=streams(8)))
    small = [pair for step in range(4) for pair in seen(steps_of(recipe), step)]
    large = [pair for step in range(2) for pair in seen(steps_of(larger), step)]
    assert small == large
    other_seed = seen(steps_of(replace(recipe, seed=1)), 0)
    assert {key for _, key in small}.isdisjoint(key for _, key in other_seed)


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_what_one_process_would_take(world: int):
    whole = steps_of(replace(toy_recipe(), data=replace(toy_recipe().data, streams=streams(8))))
    for step in (0, 3):
        ranks = [steps_of(whole.recipe, Shard(rank=r, world=world)) for r in range(world)]
        together = [pair for rank in ranks for pair in seen(rank, step)]
        assert together == seen(whole, step)


def test_micro_batches_share_what_one_large_batch_would_take():
    recipe = toy_recipe()
    large = steps_of(replace(recipe, data=replace(recipe.data, streams=streams(8))))
    small = steps_of(replace(recipe, optim=replace(recipe.optim, accumulate=2)))
    assert seen(small, 2) == seen(large, 2)


def test_micro_batches_of_several_ranks_share_it_too():
    recipe = toy_recipe()
    whole = steps_of(replace(recipe, data=replace(recipe.data, streams=streams(8))))
    small = replace(recipe, data=replace(recipe.data, streams=streams(2)))
    small = replace(small, optim=replace(small.optim, accumulate=4))
    for step in (0, 3):
        first, second = (seen(steps_of(small, Shard(rank=r, world=2)), step) for r in range(2))
        assert first[:2] + second[:2] + first[2:] + second[2:] == seen(whole, step)


def test_a_run_goes_on_where_it_was_with_another_batch_size():
    recipe = toy_recipe()
    before = steps_of(recipe).samples_seen(3)
    assert before == {"toy": 12, "other": 12, "both": 12}
    larger = replace(recipe, data=replace(recipe.data, streams=streams(8)))
    resumed = steps_of(larger, Shard(start_step=3, samples_seen=before))
    expected = seen(steps_of(recipe), 3) + seen(steps_of(recipe), 4)
    assert seen(resumed, 3) == expected


def test_aligned_modalities_come_from_the_same_sample():
    group = steps_of(toy_recipe())[0].micro[0][2]
    assert set(group.raw) == {"toy", "other"}
    toy, other = group.raw["toy"]["wave"], group.raw["other"]["wave"]
    # One phase was drawn for both, so their first values agree.
    torch.testing.assert_close(toy[:, 0], other[:, 0])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Windows:
    """Files of recordings; a source notes the visits that reach it in `visits`."""

    at_s: float
    visits: list[Visit]

    def open(self, root: str, modality: Toy) -> "_WindowSource":
        return _WindowSource(ToyFiles(), modality, self)


@dataclass(frozen=True, slots=True)
class _WindowSource(ToySource):
    windows: _Windows

    def center_s(self, index: int, visit: Visit) -> float:
        return self.windows.at_s if visit.center_s is None else visit.center_s

    def read(self, index: int, visit: Visit) -> Sample:
        self.windows.visits.append(visit)
        return ToySource(self.files, self.modality).read(index, visit)


def test_a_pair_is_cut_where_the_first_modality_with_windows_says():
    first, second = _Windows(at_s=2.5, visits=[]), _Windows(at_s=7.0, visits=[])
    stream = Stream(name="pair", files={"toy": first, "other": second}, batch_size=1)
    visit = Visit(key=3)
    StreamReader(stream, stream.files, toy_recipe()).read(0, visit)
    assert first.visits == second.visits == [Visit(key=3, center_s=2.5)]
    assert visit == Visit(key=3)


def test_a_centre_that_was_asked_for_holds_for_all_of_a_pair():
    first, second = _Windows(at_s=2.5, visits=[]), _Windows(at_s=7.0, visits=[])
    stream = Stream(name="pair", files={"toy": first, "other": second}, batch_size=1)
    StreamReader(stream, stream.files, toy_recipe()).read(0, Visit(key=3, center_s=4.0))
    assert first.visits == second.visits == [Visit(key=3, center_s=4.0)]


def test_a_source_without_windows_leaves_the_place_to_the_next():
    second = _Windows(at_s=7.0, visits=[])
    stream = Stream(name="pair", files={"toy": ToyFiles(), "other": second}, batch_size=1)
    StreamReader(stream, stream.files, toy_recipe()).read(0, Visit(key=3))
    assert second.visits == [Visit(key=3, center_s=7.0)]


def test_files_that_do_not_meet_are_an_error():
    files = {"toy": ToyFiles(), "other": ToyFiles(path="elsewhere")}
    recipe = replace(
        toy_recipe(),
        data=Data(root=".", streams=(Stream(name="pair", files=files, batch_size=2),)),
    )
    with pytest.raises(DataError, match="stream pair: no sample has all of"):
        open_streams(recipe)


def test_processes_that_see_other_files_say_so(monkeypatch: pytest.MonkeyPatch):
    readers = open_streams(toy_recipe())
    streams_module.check_alike(readers)
    theirs = [reader.state() for reader in readers]
    theirs[1] = ("other", 23, theirs[1][2])
    monkeypatch.setattr(streams_module.HostMeeting, "gather", lambda meeting, own: [own, theirs])
    with pytest.raises(DataError, match=r"stream other: process 1 sees 23 samples"):
        streams_module.check_alike(readers)


def test_statistics_come_from_the_first_stream():
    recipe = fit(toy_recipe())
    assert all(isinstance(m, Toy) and m.mean is not None for m in recipe.modalities)
    assert fit(recipe) == recipe
    assert [m.name for m in recipe.modalities] == [m.name for m in TOYS]


def test_held_out_samples_are_the_same_on_every_call():
    reader = open_held_out(toy_recipe())[0]
    first, again = reader.held_out_group([0, 3]), reader.held_out_group([0, 3])
    assert torch.equal(first.raw["toy"]["wave"], again.raw["toy"]["wave"])
    assert torch.equal(first.keys, again.keys)
    assert reader.label(3) == "class-0"


def reader_of(stream: int, labels: Mapping[str, tuple[float, ...]] | None = None) -> StreamReader:
    recipe = toy_recipe()
    chosen = recipe.data.streams[stream]
    return StreamReader(chosen, chosen.files, recipe, labels)


def test_a_key_belongs_to_a_name_wherever_the_sample_stands():
    whole = reader_of(0)
    few = reader_of(0, {whole.name(n): (1.0,) for n in (5, 7, 11)})
    assert [few.name(n) for n in range(3)] == [whole.name(n) for n in (5, 7, 11)]
    assert [few.key(n, 0) for n in range(3)] == [whole.key(n, 0) for n in (5, 7, 11)]


def test_every_epoch_and_every_stream_has_keys_of_its_own():
    alone, both = reader_of(0), reader_of(2)
    assert alone.name(3) == both.name(3)
    assert len({alone.key(3, 0), alone.key(3, 1), both.key(3, 0)}) == 3


def with_bad_files() -> Recipe:
    recipe = toy_recipe()
    first, *others = recipe.data.streams
    first = replace(first, files={"toy": ToyFiles(bad=(0, 1, 2, 3, 6, 8, 9, 14, 20))})
    return replace(recipe, data=replace(recipe.data, streams=(first, *others), max_bad_files=99))


def test_a_stand_in_does_not_depend_on_what_was_read_before():
    recipe = with_bad_files()
    in_order = steps_of(recipe)
    found = [seen(in_order, step) for step in range(6)]
    assert any(in_order[step].bad for step in range(6))
    assert [seen(steps_of(recipe), step) for step in reversed(range(6))] == found[::-1]


def test_a_stand_in_has_the_key_of_its_own_name():
    steps = steps_of(with_bad_files())
    reader = steps.readers[0]
    own = {reader.name(n): reader.key(n, 0) for n in range(len(reader))}
    visits = [pair for step in range(6) for pair in seen(steps, step)]
    assert len({name for name, _ in visits}) < len(visits), "some samples stand in for others"
    assert all(own[name] == key for name, key in visits)


def test_statistics_are_of_training_files():
    recipe = fit(toy_recipe())
    stream = recipe.data.streams[0]
    assert stream.held_out is not None
    trained, held_out = (
        Toy().fit(part["toy"].open(".", Toy())) for part in (stream.files, stream.held_out)
    )
    assert recipe.modalities[0] == trained != held_out


class Paired(ToyFiles):
    """The same names as the toy's, in the opposite order."""

    def open(self, root: str, modality: Toy) -> ToySource:
        return Backwards(self, modality)


class Backwards(ToySource):
    def name(self, index: int) -> str:
        return ToySource.name(self, len(self) - 1 - index)


def test_aligned_files_meet_by_name_and_not_by_their_order():
    files = {"toy": ToyFiles(), "other": Paired()}
    data = Data(root=".", streams=(Stream(name="pair", files=files, batch_size=2),))
    (reader,) = open_streams(replace(toy_recipe(), data=data))
    for index in range(len(reader)):
        names = [part.name(reader.row(name, index)) for name, part in reader.sources.items()]
        assert names[0] == names[1]


def test_held_out_samples_are_not_augmented():
    reader = open_held_out(toy_recipe())[0]
    wave = reader.held_out_group([3]).raw["toy"]["wave"]
    plain = reader.sources["toy"].read(3, Visit(key=1, augment=False))["wave"]
    assert isinstance(wave, torch.Tensor)
    assert wave[0].tolist() == plain.tolist()
