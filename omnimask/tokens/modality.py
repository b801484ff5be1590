"""What a modality plug-in provides; `modalities/` has one folder for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnimask.foundation.rng import numpy_generator
from omnimask.tokens.tokens import Grid, Raw, Tokens

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Sample = Mapping[str, Any]  # one sample of one modality as a reader returns it, before `collate`
Label = str | float | None  # a class, a number, or none; for probes and fine-tuning only


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """Everything random about one visit to one sample, handed to a reader.

    Two readers of a paired sample get the same `Visit`, so the same `purpose` gives both the same
    numbers: aligned maps are cropped alike. `center_s`, seconds from the start of the recording, is
    the middle of what is cut out of it; None leaves the place to `augment`.
    """

    key: int
    augment: bool = True  # False: the deterministic centre view, for held-out samples
    center_s: float | None = None

    def generator(self, purpose: str) -> np.random.Generator:
        return numpy_generator(self.key, purpose)


@runtime_checkable
class Source(Protocol):
    """Random access to the samples of one modality. Raises `DataError` naming the bad file."""

    def __len__(self) -> int: ...

    def name(self, index: int, /) -> str:
        """A stable name: the file's path below the source's root (plus "#row 12" in a table)."""
        ...

    def label(self, index: int, /) -> Label:
        """The label used by probes only; pretraining never sees it."""
        ...

    def read(self, index: int, visit: Visit, /) -> Sample: ...


@runtime_checkable
class CutsInTime(Protocol):
    """A source whose samples are windows of recordings; those paired with it can follow it."""

    def center_s(self, index: int, visit: Visit, /) -> float:
        """The middle of the window that `read` cuts out on this visit; `visit.center_s` if set."""
        ...


@runtime_checkable
class Files(Protocol):
    """A frozen record that says where samples lie and how they are read; part of a recipe."""

    def open(self, root: str, modality: Any, /) -> Source:
        """Lists the samples below `root`; `DataError` if there is none, naming the folder.

        `modality` is the plug-in's own record, so that sizes and rates are stated once, there.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """Original, visible part and reconstruction of one sample, for reports.

    The figure's axes, colour bars aside, are 3 k panels in that order, so that `omnimask draw` can
    cut them out; of another figure it shows tokens as squares.

    `html` is an optional interactive part shown below the figure (a sound player, a plotly `div`
    without plotly.js, which the report includes once where `needs_plotly`).
    """

    figure: "Figure"
    html: str = ""
    needs_plotly: bool = field(default=False)


@runtime_checkable
class Modality(Protocol):
    """A frozen dataclass whose fields are its configuration; part of a recipe.

    This is all that pretraining, probes and reports need. What `omnimask embed`, `impute`,
    `export` and `doctor` and other sizes than in pretraining need beside it are optional hooks;
    `omnimask.transfer.modality_hooks` has their types and says where they stand.
    """

    @property
    def name(self) -> str:
        """Its key in groups, objectives and metrics."""
        ...

    @property
    def grid(self) -> Grid | None:
        """The named axes of a full sample's tokens, or None where tokens have no grid."""
        ...

    @property
    def num_tokens(self) -> int:
        """The most tokens one sample can have: the `n` of `split`."""
        ...

    @property
    def num_values(self) -> int:
        """The width `v` of a token's values."""
        ...

    @property
    def extent(self) -> tuple[float, ...]:
        """The usual length of each coordinate axis, in the units of `coords`."""
        ...

    def fit(self, source: Source, /) -> "Modality":
        """A copy with its statistics measured on training samples; itself if it has them."""
        ...

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """Stacks samples, padding where they differ; host-side counts go in as integer tuples."""
        ...

    def split(self, raw: Raw, /) -> Tokens:
        """Pure and without weights; runs on the device of `raw`, with no device synchronisation."""
        ...

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """The inverse of `split`: token values back to the form of `raw`, up to a stated loss."""
        ...

    def embed(self, dim: int, /) -> nn.Module:
        """A module (k v) -> (k dim) on the values of any k tokens; tokens never mix in it."""
        ...

    def position(self, dim: int, /) -> nn.Module:
        """A module (k c) -> (k dim) on the coordinates of any k tokens."""
        ...

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        """Sample `index` as original, as the encoder saw it (`visible` tokens), and reconstructed.

        `filled` holds the original values at shown tokens and predicted values at the others.
        """
        ...
