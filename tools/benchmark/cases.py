"""What is compared: recipes at published and at small sizes, and who else does the same work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from modalities.audio import AudioSpectrogram
from modalities.image import ImagePatches
from modalities.points import PointGroups
from modalities.tabular import TableCells
from modalities.video import VideoTubelets
from modalities.voxels import VoxelGrid
from omnimask.decoders import CrossAttentionDecoder, SelfAttentionDecoder, WindowDecoder
from omnimask.network.encoder import vit
from omnimask.objectives.clusters import OnlineClusters
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.tokens import Group
from recipes import audiomae, capi, mae, omni, pointmae, videomae, vjepa
from tools.benchmark.made_data import MadeFiles, on_made_data
from tools.benchmark.peers import plain, video_mae, vit_mae

Build = Callable[[Recipe, Group], tuple[nn.Module, Callable[[nn.Module], Tensor]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A recipe and the samples in a step of it on a CPU and on a GPU; and its peers by name.

    Batches are those of every stream; 0 keeps the recipe's own.
    """

    recipe: Callable[[], Recipe]
    cpu_batch: int
    gpu_batch: int
    peers: Mapping[str, Build] = field(default_factory=dict)
    ragged: bool = False

    def prepared(self, device: str, *, small: bool = False, batch: int | None = None) -> Recipe:
        """On made data, at its batch or another; `small` is for trying the tools."""
        files = MadeFiles(ragged=self.ragged)
        recipe = on_made_data(_small(self.recipe()) if small else self.recipe(), files)
        size = batch or (2 if small else self.cpu_batch if device == "cpu" else self.gpu_batch)
        if size:
            streams = tuple(replace(s, batch_size=size) for s in recipe.data.streams)
            recipe = replace(recipe, data=replace(recipe.data, streams=streams))
        return recipe


def _mae(size: str) -> Callable[[], Recipe]:
    return lambda: replace(mae.base(), encoder=vit(size))


def _audiomae() -> Recipe:
    """With a decoder of eight blocks over the whole sound, which a plain step has too."""
    return replace(
        audiomae.base(),
        decoders={"main": SelfAttentionDecoder(width=512, depth=8, num_heads=16)},
    )


_IMAGES = {"transformers": vit_mae, "timm": plain}
_VIDEOS = {"transformers": video_mae, "timm": plain}
CASES: Mapping[str, Case] = {
    "mae-small": Case(recipe=_mae("small"), cpu_batch=8, gpu_batch=512, peers=_IMAGES),
    "mae-base": Case(recipe=_mae("base"), cpu_batch=8, gpu_batch=512, peers=_IMAGES),
    "mae-large": Case(recipe=_mae("large"), cpu_batch=8, gpu_batch=512, peers=_IMAGES),
    "videomae-small": Case(recipe=videomae.small, cpu_batch=2, gpu_batch=64, peers=_VIDEOS),
    "videomae-base": Case(recipe=videomae.base, cpu_batch=2, gpu_batch=64, peers=_VIDEOS),
    "audiomae-base": Case(recipe=_audiomae, cpu_batch=4, gpu_batch=64, peers={"timm": plain}),
    "pointmae": Case(recipe=pointmae.base, cpu_batch=16, gpu_batch=256, peers={"timm": plain}),
    "mixed": Case(recipe=omni.quickstart, cpu_batch=0, gpu_batch=0, ragged=True),
    "mixed-base": Case(recipe=omni.omni, cpu_batch=2, gpu_batch=0, ragged=True),
    "vjepa-large": Case(recipe=vjepa.large, cpu_batch=1, gpu_batch=24),
    "capi-large": Case(recipe=capi.large, cpu_batch=4, gpu_batch=256),
}


def _small(recipe: Recipe) -> Recipe:
    """The same parts at sizes that take milliseconds."""
    return replace(
        recipe,
        modalities=tuple(_small_modality(modality) for modality in recipe.modalities),
        encoder=replace(recipe.encoder, width=24, depth=2, num_heads=2),
        decoders={name: _small_decoder(d) for name, d in recipe.decoders.items()},
        objectives=tuple(
            replace(o, target=replace(o.target, num_prototypes=8))
            if isinstance(o.target, OnlineClusters)
            else o
            for o in recipe.objectives
        ),
    )


def _small_modality(modality: Any) -> Any:
    if isinstance(modality, TableCells):
        return modality
    return replace(modality, **_SMALL[type(modality)])


_SMALL: Mapping[type, Mapping[str, Any]] = {
    ImagePatches: {"size": (32, 32), "patch": (8, 8)},
    VideoTubelets: {"num_frames": 4, "size": (32, 32), "tubelet": (2, 8, 8)},
    AudioSpectrogram: {"window_s": 0.64, "num_mels": 32, "patch": (16, 16)},
    PointGroups: {"num_points": 32, "num_groups": 8, "group_size": 4},
    VoxelGrid: {
        "voxel_size_m": (2.0, 2.0, 2.0),
        "range_m": ((-4.0, 4.0),) * 3,
        "max_voxels": 16,
        "points_per_voxel": 4,
    },
}


def _small_decoder(decoder: Any) -> Any:
    assert isinstance(decoder, SelfAttentionDecoder | CrossAttentionDecoder | WindowDecoder)
    return replace(decoder, width=24, depth=1, num_heads=2)
