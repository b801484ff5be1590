"""What a modality may offer beside the protocol `Modality`, and the one look-up that finds it.

Pretraining, probes and reports need none of it. A hook is a mapping from types of records to what
serves them:

- `FILE_READERS`, {record: FileReader}: single files as samples; `omnimask embed`, samples of the
  user's own in `omnimask export`
- `IMPUTERS`, {record: Imputer}: the hidden or missing part of a file; `omnimask impute`
- `GRAPH_FRONTS`, {record: function of a record that gives a GraphFront}: an exported graph that
  begins before the modality's tokens; without it a graph begins at collated samples

It stands in the module of the record itself (a modality may be one file), or in the module
`file_reader`, `imputing` or `graph_front` beside it, in the record's package. Three more need no
mapping: methods of the record (`Adaptable`), for other sizes than in pretraining, and
(`Paintable`) for pictures of what its tokens are to an encoder; and a function
`available_readers() -> dict[str, str]` in the same module or in the package, by which `omnimask
doctor` says what reads which files.
"""

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from omnimask.data.folders import FolderFiles
from omnimask.foundation.errors import RecipeError
from omnimask.network.resampling import Resampled, State
from omnimask.tokens.modality import Modality, Sample, Source
from omnimask.tokens.tokens import Raw
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.request import Imputation, Request

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Triple = tuple[Tensor, Tensor, Tensor]  # values (b n v), coords (b n c), valid (b n)
H = TypeVar("H")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileReader:
    """How a single file, wherever it lies, becomes samples.

    `files`: the type of the Files records; `files()` reads without options. `suffixes` of such a
    record are in lower case, with the dot. `open` makes the source of exactly the file in the
    list. `in_rows`: a file holds many samples, whose names end in "#row 12".
    """

    files: type
    suffixes: Callable[[Any], Collection[str]]
    open: Callable[[FolderFiles, Any, Any], Source]  # of the list, a Files record and a modality
    in_rows: bool = False


@runtime_checkable
class Imputer(Protocol):
    """Fills in what is hidden or missing of a file, and writes it."""

    @property
    def suffixes(self) -> Collection[str]:
        """Of the files that it takes, in lower case with the dot."""
        ...

    def __call__(self, model: MaskedModel, name: str, request: Request, /) -> Imputation:
        """With the model's modality `name`, which is of the type that the imputer stands for."""
        ...


@runtime_checkable
class GraphFront(Protocol):
    """The part of a graph before the embedding; plain functions of tensors, without weights.

    Tracing follows `tokens`: no host integer may depend on a tensor or on the number of samples.
    """

    @property
    def free_length(self) -> bool:
        """Whether axis 1 of every input that has one may be of any length; zeros are padding."""
        ...

    def inputs(self, samples: Sequence[Sample], /) -> dict[str, Tensor]:
        """What the graph takes of samples as readers return them; axis 0 is the sample."""
        ...

    def reference(self, samples: Sequence[Sample], /) -> Raw:
        """The collated samples that hold what `inputs` has of them."""
        ...

    def tokens(self, inputs: Mapping[str, Tensor], /) -> Triple: ...


@runtime_checkable
class GraphFrontMaker(Protocol):
    """Makes the front of a graph for a modality of the type that it stands for."""

    def __call__(self, modality: Any, /) -> GraphFront: ...


@runtime_checkable
class Adaptable(Protocol):
    """A modality that can say how weights of another configuration of itself become its own.

    `old` is of the same type in all three. RecipeError for what cannot be carried over.
    """

    def continued_from(self, old: Modality, /) -> tuple[Modality, tuple[str, ...]]:
        """Itself with what is to be kept of `old`, statistics and axes of positions, and lines."""
        ...

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        """The state of its `embed(dim)` from `state`, that of the old; `fresh` is its random one,
        for parts that the old one lacks."""
        ...

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        """The same of `position(dim)`; both states are empty where the encoder only rotates."""
        ...


@runtime_checkable
class Paintable(Protocol):
    """A modality that can show each token of a sample in a colour; others have a row of squares."""

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """Sample `index` as it is under the first of `titles`, then k times with its tokens in
        `colors` (RGB in [0, 1]), each under its own title; `omnimask.report.painting` has easels.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook(Generic[H]):
    """`name` of the mapping, the `module` beside the record that may hold it, the type of its
    values, and in words what it is for and what a value is.
    """

    name: str
    module: str
    kind: Any  # a type[H]; a Protocol too, which type[...] does not take
    purpose: str
    value: str


FILE_READERS: Hook[FileReader] = Hook(
    name="FILE_READERS",
    module="file_reader",
    kind=FileReader,
    purpose="how single files are read",
    value="FileReader(files=..., suffixes=..., open=...)",
)
IMPUTERS: Hook[Imputer] = Hook(
    name="IMPUTERS",
    module="imputing",
    kind=Imputer,
    purpose="how the hidden part of a file is filled in and written",
    value="an Imputer",
)
GRAPH_FRONTS: Hook[GraphFrontMaker] = Hook(
    name="GRAPH_FRONTS",
    module="graph_front",
    kind=GraphFrontMaker,
    purpose="where an exported graph begins",
    value="a function of the record that gives a GraphFront",
)


def find_hook(modality: Modality, hook: Hook[H]) -> H | None:
    """What serves this record; None where its module and its package offer none.

    RecipeError for a mapping that is not one, for a value of another type, and for a module of the
    hook's name that does not define it.
    """
    own = importlib.import_module(type(modality).__module__)
    found = _offered(own, hook, modality) if hook.name in vars(own) else None
    if found is not None:
        return found
    beside = _module_beside(own, hook.module)
    return None if beside is None else _offered(beside, hook, modality)


def require_hook(modality: Modality, hook: Hook[H]) -> H:
    """The same; RecipeError that says how to write one where there is none."""
    found = find_hook(modality, hook)
    if found is None:
        raise RecipeError(missing(modality, hook))
    return found


def missing(modality: Modality, hook: Hook[Any]) -> str:
    """That a modality lacks a hook, and how to write it."""
    kind = type(modality)
    own = importlib.import_module(kind.__module__)
    package = _package_of(own)
    beside = f" or in a module {package}.{hook.module}" if package else ""
    return (
        f"{kind.__name__} (the modality {modality.name!r}) does not say {hook.purpose}; write "
        f"{hook.name} = {{{kind.__name__}: {hook.value}}} in {kind.__module__}{beside}; "
        "omnimask.transfer.modality_hooks has the types"
    )


def find_available_readers(name: str) -> dict[str, str] | None:
    """By kind of file, the library that reads it here with its version, or why it is missing.

    `name` is the module of a modality's record, or its package; None where neither says.
    """
    module = importlib.import_module(name)
    package = _package_of(module)
    if not hasattr(module, "available_readers") and package:
        module = importlib.import_module(package)
    return dict(module.available_readers()) if hasattr(module, "available_readers") else None


def available_readers_in(name: str) -> dict[str, str]:
    """The same; RecipeError that says how to write it where there is none."""
    found = find_available_readers(name)
    if found is None:
        raise RecipeError(
            f"{name} does not say what reads its files; write a function available_readers() "
            '-> dict[str, str] in it, such as {".bin": "numpy 2.4"}'
        )
    return found


def _package_of(module: ModuleType) -> str:
    """Where modules beside it are found; "" for a single file outside of any package."""
    is_package = hasattr(module, "__path__")
    return module.__name__ if is_package else module.__name__.rpartition(".")[0]


def _module_beside(own: ModuleType, name: str) -> ModuleType | None:
    package = _package_of(own)
    if not package:
        return None
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{package}.{name}":
            raise  # something that the hook's own module needs
        return None


def _offered(module: ModuleType, hook: Hook[H], modality: Modality) -> H | None:
    """What the module's mapping has for the modality's type."""
    if hook.name not in vars(module):
        raise RecipeError(
            f"the module {module.__name__} must define {hook.name}, {hook.purpose}; write "
            f"{hook.name} = {{{type(modality).__name__}: {hook.value}}} in it, or rename the module"
        )
    offered = vars(module)[hook.name]
    if not isinstance(offered, Mapping):
        raise _misfit(module, hook, modality, offered)
    found = next((value for kind, value in offered.items() if isinstance(modality, kind)), None)
    if found is not None and not isinstance(found, hook.kind):
        raise _misfit(module, hook, modality, found)
    return found


def _misfit(module: ModuleType, hook: Hook[Any], modality: Modality, found: object) -> RecipeError:
    return RecipeError(
        f"{hook.name} in {module.__name__} must be a mapping from types of records to what serves "
        f"them, got {type(found).__name__}; write "
        f"{hook.name} = {{{type(modality).__name__}: {hook.value}}}"
    )
