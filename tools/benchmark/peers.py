"""The same work by other implementations: transformers' models, and a plain step of timm's blocks.

Every peer gets what our step gets, the raw batch, and does what our step does: it normalises, draws
masks, goes forward and back, clips and steps a fused AdamW.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from modalities.audio import AudioSpectrogram
from modalities.image import ImagePatches
from modalities.points import PointGroups
from modalities.video import VideoTubelets
from omnimask.decoders import SelfAttentionDecoder
from omnimask.masking import RandomMask, TubeMask
from omnimask.recipe.recipe import Recipe
from omnimask.tokens.tokens import Group, tensor_of
from tools.benchmark.step import Precision


@dataclass(kw_only=True, slots=True)
class PeerStep:
    """One training step whenever it is called; `loss_of` runs the model on the batch."""

    model: nn.Module
    loss_of: Callable[[nn.Module], Tensor]
    optimizer: torch.optim.Optimizer
    device: str
    precision: Precision
    clip_norm: float

    def __call__(self) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            loss = self.loss_of(self.model)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss.detach()


def peer_step(
    build: Callable[[Recipe, Group], tuple[nn.Module, Callable[[nn.Module], Tensor]]],
    recipe: Recipe,
    group: Group,
    *,
    precision: Precision,
) -> PeerStep:
    """`group` is on the device where the step is to run."""
    torch.manual_seed(recipe.seed)
    device, optim = group.keys.device.type, recipe.optim
    model, loss_of = build(recipe, group)
    model = model.to(device).train()
    return PeerStep(
        model=model,
        loss_of=loss_of,
        optimizer=torch.optim.AdamW(
            model.parameters(),
            lr=optim.lr,
            betas=optim.betas,
            weight_decay=optim.weight_decay,
            fused=True,
        ),
        device=device,
        precision=precision,
        clip_norm=float("inf") if optim.clip_norm is None else optim.clip_norm,
    )


def vit_mae(recipe: Recipe, group: Group) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """transformers' ViTMAE; it embeds all patches, then drops three quarters."""
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    image, decoder = _only(recipe, ImagePatches), _decoder(recipe)
    config = ViTMAEConfig(
        image_size=image.size,
        patch_size=image.patch[0],
        hidden_size=recipe.encoder.width,
        num_hidden_layers=recipe.encoder.depth,
        num_attention_heads=recipe.encoder.num_heads,
        intermediate_size=4 * recipe.encoder.width,
        decoder_hidden_size=decoder.width,
        decoder_num_hidden_layers=decoder.depth,
        decoder_num_attention_heads=decoder.num_heads,
        decoder_intermediate_size=4 * decoder.width,
        norm_pix_loss=True,
        mask_ratio=_ratio(recipe),
        attn_implementation="sdpa",  # pyright: ignore[reportCallIssue] its base class has it
    )
    pixels = tensor_of(group.raw[image.name], "pixels")
    mean, std = (_channels(part, pixels) for part in (image.mean, image.std))
    return ViTMAEForPreTraining(config), lambda model: model((pixels / 255 - mean) / std).loss


def video_mae(recipe: Recipe, group: Group) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """transformers' VideoMAE; it embeds all tubelets, then drops nine tenths."""
    from transformers import VideoMAEConfig, VideoMAEForPreTraining

    video, decoder = _only(recipe, VideoTubelets), _decoder(recipe)
    config = VideoMAEConfig(
        image_size=video.size[0],
        patch_size=video.tubelet[1],
        num_frames=video.num_frames,
        tubelet_size=video.tubelet[0],
        hidden_size=recipe.encoder.width,
        num_hidden_layers=recipe.encoder.depth,
        num_attention_heads=recipe.encoder.num_heads,
        intermediate_size=4 * recipe.encoder.width,
        decoder_hidden_size=decoder.width,
        decoder_num_hidden_layers=decoder.depth,
        decoder_num_attention_heads=decoder.num_heads,
        decoder_intermediate_size=4 * decoder.width,
        attn_implementation="sdpa",  # pyright: ignore[reportCallIssue] its base class has it
    )
    frames = tensor_of(group.raw[video.name], "frames")
    mean, std = (_channels(part, frames) for part in (video.mean, video.std))
    num_visible = _num_visible(recipe, video)

    def loss_of(model: nn.Module) -> Tensor:
        shown = _tubes(recipe, video, len(frames), frames.device)
        hidden = torch.ones(len(frames), video.num_tokens, dtype=torch.bool, device=frames.device)
        hidden.scatter_(1, shown[:, :num_visible], False)
        return model((frames / 255 - mean) / std, bool_masked_pos=hidden).loss

    return VideoMAEForPreTraining(config), loss_of


def plain(recipe: Recipe, group: Group) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """The least that does the work: dense batches, timm's blocks, only visible tokens embedded."""
    (modality,) = recipe.modalities
    raw, num_visible = group.raw[modality.name], _num_visible(recipe, modality)
    order = _tubes if isinstance(recipe.masker, TubeMask) else _random_order

    def loss_of(model: nn.Module) -> Tensor:
        with torch.no_grad():
            values, places = _TOKENS[type(modality)](modality, raw)
            ids = order(recipe, modality, len(values), values.device)
        return model(values, places, ids[:, :num_visible], ids[:, num_visible:])

    return PlainMAE(recipe), loss_of


class PlainMAE(nn.Module):
    """A masked autoencoder of one modality on dense batches, as one would write it by hand."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block

        (modality,) = recipe.modalities
        encoder, decoder = recipe.encoder, _decoder(recipe)
        self.points = isinstance(modality, PointGroups)
        num_places = 3 if self.points else modality.num_tokens
        self.embed = (
            PlainPointNet(encoder.width, group_size=modality.group_size)
            if isinstance(modality, PointGroups)
            else nn.Linear(modality.num_values, encoder.width)
        )
        # A table of places, or for points a layer on their coordinates.
        self.places = nn.ModuleList(
            _point_places(width) if self.points else nn.Embedding(num_places, width)
            for width in (encoder.width, decoder.width)
        )
        self.prefix = nn.Parameter(torch.zeros(1, encoder.num_prefix, encoder.width))
        drops = torch.linspace(0, encoder.drop_path, encoder.depth).tolist()
        self.encoder = nn.Sequential(
            *(Block(encoder.width, encoder.num_heads, qkv_bias=True, drop_path=p) for p in drops),
            nn.LayerNorm(encoder.width, eps=1e-6),
        )
        self.project = nn.Linear(encoder.width, decoder.width)
        self.mask_token = nn.Parameter(torch.zeros(decoder.width))
        self.decoder = nn.Sequential(
            *(Block(decoder.width, decoder.num_heads, qkv_bias=True) for _ in range(decoder.depth)),
            nn.LayerNorm(decoder.width, eps=1e-6),
        )
        self.head = nn.Linear(decoder.width, modality.num_values)

    def forward(
        self, values: Tensor, places: Tensor | None, shown: Tensor, hidden: Tensor
    ) -> Tensor:
        """`shown` and `hidden` are ids (b k) of tokens."""
        visible = self.embed(_taken(values, shown))
        x = visible + self._place(0, places, shown)
        prefix = self.prefix.expand(len(x), -1, -1)
        x = self.project(self.encoder(torch.cat([prefix, x], dim=1)))
        first = prefix.shape[1]
        asked = self.mask_token + self._place(1, places, hidden)
        known = x[:, first:] + self._place(1, places, shown)
        x = self.decoder(torch.cat([x[:, :first], known, asked.to(x.dtype)], dim=1))
        predicted = self.head(x[:, -hidden.shape[1] :]).float()
        truth = _taken(values, hidden)
        if self.points:
            return _chamfer(predicted, truth)
        variance, mean = torch.var_mean(truth, dim=-1, keepdim=True)
        return F.mse_loss(predicted, (truth - mean) / (variance + 1e-6).sqrt())

    def _place(self, which: int, places: Tensor | None, ids: Tensor) -> Tensor:
        return self.places[which](ids if places is None else _taken(places, ids))


class PlainPointNet(nn.Module):
    """Point-MAE's embedding of a group, with LayerNorm as ours has it, in linear layers."""

    def __init__(self, width: int, *, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size
        self.first = nn.Sequential(
            nn.Linear(3, 128), nn.LayerNorm(128), nn.ReLU(), nn.Linear(128, 256)
        )
        self.second = nn.Linear(512, 512)
        self.third = nn.Sequential(nn.LayerNorm(512), nn.ReLU(), nn.Linear(512, width))

    def forward(self, values: Tensor) -> Tensor:
        points = self.first(values.unflatten(2, (self.group_size, 3)))
        group = points.amax(dim=2, keepdim=True).expand_as(points)
        return self.third(self.second(torch.cat([group, points], dim=3))).amax(dim=2)


def _point_places(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, width))


def _taken(x: Tensor, ids: Tensor) -> Tensor:
    return x.gather(1, ids[:, :, None].expand(-1, -1, x.shape[2]))


def _chamfer(predicted: Tensor, truth: Tensor) -> Tensor:
    distances = torch.cdist(predicted.unflatten(2, (-1, 3)), truth.unflatten(2, (-1, 3))).square()
    return distances.amin(dim=3).mean() + distances.amin(dim=2).mean()


Values = tuple[Tensor, Tensor | None]  # of tokens (b n v), and where they are if not on a grid


def _of_image(image: ImagePatches, raw: Any) -> Values:
    pixels, (h, w) = raw["pixels"], image.patch
    mean, std = (_channels(part, pixels) for part in (image.mean, image.std))
    x = (pixels / 255 - mean) / std
    return rearrange(x, "b c (y h) (x w) -> b (y x) (h w c)", h=h, w=w), None


def _of_video(video: VideoTubelets, raw: Any) -> Values:
    frames, (t, h, w) = raw["frames"], video.tubelet
    mean, std = (_channels(part, frames) for part in (video.mean, video.std))
    x = (frames / 255 - mean) / std
    return rearrange(
        x, "b (n t) c (y h) (x w) -> b (n y x) (t h w c)", t=t, h=h, w=w
    ).contiguous(), None


def _of_audio(audio: AudioSpectrogram, raw: Any) -> Values:
    assert audio.mean is not None, "made data have statistics"
    assert audio.std is not None
    x = (raw["logmel"] - audio.mean) / audio.std
    t, m = audio.patch
    return rearrange(x, "b (y t) (x m) -> b (y x) (t m)", t=t, m=m), None


def _of_points(points: PointGroups, raw: Any) -> Values:
    """Farthest points as centres and their nearest points, relative to them."""
    xyz = raw["xyz"]
    rows = torch.arange(len(xyz), device=xyz.device)
    nearest = torch.full(xyz.shape[:2], torch.inf, device=xyz.device)
    chosen, ids = torch.zeros(len(xyz), dtype=torch.long, device=xyz.device), []
    for _ in range(points.num_groups):
        ids.append(chosen)
        squared = (xyz - xyz[rows, chosen][:, None]).square().sum(dim=2)
        nearest = torch.minimum(nearest, squared)
        chosen = nearest.argmax(dim=1)
    centers = _taken(xyz, torch.stack(ids, dim=1))
    members = torch.cdist(centers, xyz).topk(points.group_size, dim=2, largest=False).indices
    places = _taken(xyz, members.flatten(1)).unflatten(1, members.shape[1:])
    return (places - centers[:, :, None]).flatten(2), centers


_TOKENS: dict[type, Callable[[Any, Any], Values]] = {
    ImagePatches: _of_image,
    VideoTubelets: _of_video,
    AudioSpectrogram: _of_audio,
    PointGroups: _of_points,
}


def _random_order(recipe: Recipe, modality: Any, batch: int, device: torch.device) -> Tensor:
    return torch.rand(batch, modality.num_tokens, device=device).argsort(dim=1)


def _tubes(recipe: Recipe, modality: Any, batch: int, device: torch.device) -> Tensor:
    """Ids of all tokens, those of visible tubes first."""
    steps = modality.grid["t"]
    cells = modality.num_tokens // steps
    order = torch.rand(batch, cells, device=device).argsort(dim=1)
    split = _num_visible(recipe, modality) // steps
    starts = cells * torch.arange(steps, device=device)[:, None]
    shown, hidden = ((part[:, None] + starts).flatten(1) for part in order.tensor_split([split], 1))
    return torch.cat([shown, hidden], dim=1)


def _num_visible(recipe: Recipe, modality: Any) -> int:
    """As our masker shows them."""
    from omnimask.masking.plan import visible_count

    steps = modality.grid["t"] if isinstance(recipe.masker, TubeMask) else 1
    return steps * visible_count(_ratio(recipe), modality.num_tokens // steps)


def _ratio(recipe: Recipe) -> float:
    assert isinstance(recipe.masker, RandomMask | TubeMask)
    return recipe.masker.ratio


def _decoder(recipe: Recipe) -> SelfAttentionDecoder:
    decoder = recipe.decoders["main"]
    assert isinstance(decoder, SelfAttentionDecoder)
    return decoder


def _only(recipe: Recipe, kind: type) -> Any:
    (modality,) = recipe.modalities
    assert isinstance(modality, kind)
    return modality


def _channels(numbers: tuple[float, ...] | None, like: Tensor) -> Tensor:
    assert numbers is not None, "made data have statistics"
    return _constants(numbers, like.device)


@lru_cache
def _constants(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(numbers, device=device)[:, None, None]
