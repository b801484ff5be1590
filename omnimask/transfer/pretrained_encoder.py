"""A trained encoder with its modalities: what is left of a run without masks and decoders."""

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnimask.foundation.errors import RecipeError, nearest_names
from omnimask.foundation.records import to_json
from omnimask.masking.full import full_plan
from omnimask.network.encoder import Backbone, Encoded, Encoder
from omnimask.network.pooling import Pooling, pool
from omnimask.tokens.modality import Modality, Sample
from omnimask.tokens.tokens import Group, View


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderInfo:
    """All that is known of an encoder but its weights; statistics of the modalities included.

    `origin` says where the weights come from, in words for people: the recipe, the number of steps,
    the versions, or the checkpoint that was imported.
    """

    name: str
    modalities: tuple[Modality, ...]
    encoder: Encoder
    origin: Mapping[str, str]

    def modality(self, name: str) -> Modality:
        """RecipeError for one that the encoder never saw."""
        for modality in self.modalities:
            if modality.name == name:
                return modality
        known = [modality.name for modality in self.modalities]
        raise RecipeError(
            f"the encoder {self.name!r} never saw {name!r}; {nearest_names(name, known)}. Pretrain "
            "on that modality, or take another encoder"
        )


class PretrainedEncoder(nn.Module):
    """Tokenizers, normalisation and encoder; random where no weights were loaded into `backbone`.

    In evaluation mode to begin with; its parameters are trainable.
    """

    def __init__(self, info: EncoderInfo) -> None:
        super().__init__()
        self.info = info
        self.modalities = {modality.name: modality for modality in info.modalities}
        self.backbone = Backbone(info.modalities, info.encoder)
        self.eval()

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(self, group: Group, *, layers: Sequence[int] = ()) -> Encoded:
        """Every valid token of the group's samples, encoded; `layers` as in `Backbone`.

        RecipeError for a modality that the encoder never saw.
        """
        for name in group.raw:
            self.info.modality(name)
        view = View.of(group, self.modalities)
        return self.backbone([(view, full_plan(view.layout))], layers=layers)[0]

    @torch.no_grad()
    def embed(
        self, samples: Sequence[Mapping[str, Sample]], *, pooling: Pooling = "mean"
    ) -> Float[Tensor, "b d"]:
        """One vector per sample, as readers return samples: `{modality: sample}`, the same
        modalities in each. fp32, on the encoder's device.

        RecipeError for an unknown modality, or [CLS] of an encoder without one.
        """
        check_pooling(self.info, pooling)
        raw = {
            name: self.info.modality(name).collate([sample[name] for sample in samples])
            for name in samples[0]
        }
        keys = torch.zeros(len(samples), dtype=torch.int64)
        group = Group(stream="", raw=raw, keys=keys, names=("",) * len(samples))
        return pool(self(group.to(self.device)), pooling)

    def hash(self) -> str:
        """Sixteen hexadecimal digits of SHA-256 over the configuration and all weights."""
        digest = hashlib.sha256()
        parts = (to_json(self.info.encoder), to_json(self.info.modalities))
        digest.update(json.dumps(_as_format_1(parts), sort_keys=True).encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:16]


# Under which names format 1 saved the parts of an encoder; `modalities.FORMAT_1` has theirs.
_FORMAT_1 = {
    "omnimask:BlockStyle": "omnimask.blocks:BlockStyle",
    "omnimask:Encoder": "omnimask.encoder:Encoder",
    "omnimask:Rotary": "omnimask.positions:Rotary",
}


# Fields that came later, with the values that leave an encoder as it was.
_SINCE_FORMAT_1 = {
    "omnimask:BlockStyle": {"kind": "vit", "act": "gelu", "sub_norm": False},
    "omnimask:Encoder": {
        "pre_norm": False,
        "norm_weights": True,
        "init": "xavier",
    },
}


def _as_format_1(saved: Any) -> Any:
    """With the names and fields of parts as format 1 had them: hashes in older files of vectors
    still hold.
    """
    modalities = vars(importlib.import_module("modalities"))
    names = {**_FORMAT_1, **modalities.get("FORMAT_1", {})}
    fields = {**_SINCE_FORMAT_1, **modalities.get("SINCE_FORMAT_1", {})}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            later = fields.get(value.get("record", ""), {})
            return {
                key: names.get(item, item) if key in ("record", "function") else renamed(item)
                for key, item in value.items()
                if key not in later or item != later[key]
            }
        return [renamed(item) for item in value] if isinstance(value, list | tuple) else value

    return renamed(saved)


def check_pooling(info: EncoderInfo, pooling: Pooling) -> None:
    """RecipeError for [CLS] of an encoder without one."""
    if pooling == "cls" and not info.encoder.class_token:
        raise RecipeError(
            f"the encoder {info.name!r} has no [CLS] token (class_token=False); pool with 'mean'"
        )
