"""What the optional hooks of `omnimask.transfer.modality_hooks` must keep to, for every modality.

Where a modality has no such hook, the error that a command gives must say how to write one.
"""

from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import Tensor

from omnimask.data.folders import suffix_of
from omnimask.decoders import SelfAttentionDecoder
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.masking import RandomMask
from omnimask.network.encoder import Encoder
from omnimask.objectives.objective import Objective, mse
from omnimask.objectives.targets import Content
from omnimask.recipe.recipe import Recipe
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.report.drawing.panels import cut_panels
from omnimask.tokens.modality import Visit
from omnimask.training.step import MaskedModel, build_model
from omnimask.transfer.embedding.file_reader import readings_of
from omnimask.transfer.exporting.front import front_of
from omnimask.transfer.imputing.file import impute_file
from omnimask.transfer.imputing.request import Hide, Request
from omnimask.transfer.modality_hooks import (
    FILE_READERS,
    IMPUTERS,
    Adaptable,
    Hook,
    Paintable,
    available_readers_in,
    require_hook,
)
from tests.modalities.conftest import Opened
from tests.modalities.test_contract import same

H = TypeVar("H")
DIM = 16
PADDING = 3


def offered(opened: Opened, hook: Hook[H]) -> H | None:
    """None where the case says that its record has no such hook; a command then says so too."""
    if hook.name not in opened.case.without_hooks:
        return require_hook(opened.modality, hook)
    kind = type(opened.modality).__name__
    with pytest.raises(RecipeError, match=rf"write {hook.name} = {{{kind}: .*\.{hook.module}"):
        require_hook(opened.modality, hook)
    return None


def file_of(opened: Opened, index: int) -> Path:
    return opened.case.root / opened.source.name(index).partition("#")[0]


def test_a_file_reader_gives_what_the_folder_gives(opened: Opened, tmp_path: Path) -> None:
    if offered(opened, FILE_READERS) is None:
        return
    name = opened.modality.name
    reading = readings_of([opened.modality], {name: opened.case.files})[name]
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in reading.suffixes)
    path = file_of(opened, 0)
    suffix = suffix_of(path, reading.suffixes)
    assert suffix in reading.suffixes
    source = reading.open(str(path))
    row = opened.source.name(0).rpartition("#")[2] if reading.reader.in_rows else ""
    names = [source.name(index) for index in range(len(source))]
    (place,) = [index for index, found in enumerate(names) if found.endswith(row)]
    alone = opened.modality.collate([source.read(place, Visit(key=0, augment=False))])
    assert same(dict(alone), dict(opened.modality.collate(opened.samples[:1])))
    with pytest.raises(DataError, match="absent"):
        reading.open(str(tmp_path / f"absent{suffix}")).read(0, Visit(key=0))


def test_a_file_reader_needs_no_options(opened: Opened) -> None:
    reader = offered(opened, FILE_READERS)
    assert reader is None or isinstance(reader.files(), type(opened.case.files))


def model_of(opened: Opened) -> MaskedModel:
    """With random weights."""
    name, root = opened.modality.name, str(opened.case.root)
    content = Objective(name="content", modality=name, target=Content(), loss=mse)
    recipe = Recipe(
        name="one",
        modalities=(opened.modality,),
        masker=RandomMask(ratio=0.5),
        encoder=Encoder(width=DIM, depth=1, num_heads=2),
        decoders={"main": SelfAttentionDecoder(width=DIM, depth=1, num_heads=2)},
        objectives=opened.case.objectives or (content,),
        data=Data(root=root, streams=(Stream(name="one", files={name: opened.case.files}),)),
        optim=Optim(steps=1, warmup_steps=0),
        run=Run(tracker="none", report=False),
    )
    torch.manual_seed(0)
    return build_model(recipe)


def test_an_imputer_writes_another_file_and_keeps_the_first(opened: Opened, tmp_path: Path) -> None:
    imputer = offered(opened, IMPUTERS)
    if imputer is None:
        return
    model, path = model_of(opened), file_of(opened, 0)
    suffix = suffix_of(path, imputer.suffixes)
    assert suffix in imputer.suffixes
    before = path.read_bytes()
    hide = Hide(ratio=0.5) if opened.case.imputed_suffix else None
    out = tmp_path / "new" / f"filled{opened.case.imputed_suffix or suffix}"
    done = impute_file(model, Request(path=path, out=out, hide=hide))
    assert done.files[0] == out
    assert all(written.stat().st_size > 0 for written in done.files)
    assert path.read_bytes() == before
    other_way = None if hide else Hide(ratio=0.5)
    with pytest.raises(RecipeError, match="hidden" if hide else "leave out ratio"):
        impute_file(model, Request(path=path, out=tmp_path / out.name, hide=other_way))


def test_a_graph_front_gives_the_tokens_of_the_modality(opened: Opened) -> None:
    """That of the hook, or the one that all others have."""
    front = front_of(opened.modality, "samples")
    inputs = front.inputs(opened.samples)
    assert {len(part) for part in inputs.values()} == {len(opened.samples)}
    expected = opened.modality.split(front.reference(opened.samples))
    valid = expected.valid
    for given in (inputs, {name: padded(part) for name, part in inputs.items()}):
        values, coords, found = front.tokens(given)
        assert torch.equal(found[:, : valid.shape[1]], valid)
        assert not found[:, valid.shape[1] :].any()
        torch.testing.assert_close(values[found], expected.values[valid], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(coords[found], expected.coords[valid])
        if not front.free_length:
            return


def padded(part: Tensor) -> Tensor:
    """Longer along axis 1, where there is one."""
    if part.dim() < 2:
        return part
    return torch.cat([part, part.new_zeros(len(part), PADDING, *part.shape[2:])], dim=1)


def test_a_modality_adapted_to_itself_stays_as_it_is(opened: Opened) -> None:
    modality = opened.modality
    assert isinstance(modality, Adaptable)
    assert modality.continued_from(modality) == (modality, ())
    torch.manual_seed(0)
    parts = (
        (modality.embed, modality.adapt_embedding),
        (modality.position, modality.adapt_position),
    )
    for build, adapt in parts:
        state, fresh = build(DIM).state_dict(), build(DIM).state_dict()
        kept = adapt(modality, state, fresh)
        assert kept.lines == ()
        assert same(dict(kept.state), dict(state))


def test_the_folder_says_what_reads_its_files(folder: str) -> None:
    readers = available_readers_in(f"modalities.{folder}")
    assert readers
    assert all(kind and reader for kind, reader in readers.items())


def test_tokens_are_painted_in_their_colours(opened: Opened) -> None:
    """Every panel under a title of its own; other colours give another picture, as in the first
    sample every valid token is seen, or lies in another slice, moment or column.
    """
    modality = opened.modality
    assert isinstance(modality, Paintable)
    valid = modality.split(opened.raw).valid
    titles = ("input", "one", "two")
    for index in range(len(valid)):
        colors = torch.rand(2, valid.shape[1], 3, generator=torch.Generator().manual_seed(index))
        pictures = []
        for paint in (colors, 1 - colors):
            figure = modality.paint(opened.raw, paint, titles=titles, index=index)
            panels = [axes for axes in figure.axes if axes.get_title() in titles]
            assert [axes.get_title() for axes in panels] == list(titles)
            cut = cut_panels(figure)
            assert cut is not None
            pictures.append(cut.pictures)
        (same_input, *painted), (input_again, *others) = pictures
        assert (same_input == input_again).all()
        if valid[index].any():
            assert all((one != other).any() for one, other in zip(painted, others, strict=True))
