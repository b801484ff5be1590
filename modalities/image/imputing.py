"""`omnimask impute` on a picture."""

import torch
from torch import Tensor

from modalities.image.files import SUFFIXES, ImageFiles
from modalities.image.modality import ImagePatches
from modalities.image.readers.channels import to_channels
from modalities.image.readers.choice import read_picture
from omnimask.data.pixels import Box
from omnimask.foundation.errors import DataError
from omnimask.tokens.tokens import tensor_of
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.frames import FrameView, hidden_pixels, impute_frames
from omnimask.transfer.imputing.request import Imputation, Request
from omnimask.transfer.imputing.stream_files import files_of


class PictureImputer:
    """Writes a PNG of the picture's own size. Hidden by a mask, a box or a ratio of the patches."""

    suffixes = SUFFIXES

    def __call__(self, model: MaskedModel, name: str, request: Request, /) -> Imputation:
        modality = model.modalities[name]
        assert isinstance(modality, ImagePatches), "asked only for those"
        hide = request.hidden("picture")
        hide.only("a picture", "mask", "box", "ratio")
        _check_png(request)
        files = files_of(model.recipe, name, ImageFiles())
        picture = read_picture(request.path, grey=False, max_pixels=files.max_pixels)
        height, width = picture.pixels.shape[-2:]
        whole = picture.cut(Box(top=0, left=0, height=height, width=width))
        pixels = to_channels(whole, modality.num_channels, str(request.path))
        if pixels.dtype != torch.uint8 or len(pixels) not in (1, 3, 4):
            raise DataError(
                f"{request.path}: only 8-bit pictures of 1, 3 or 4 channels are imputed, got "
                f"{len(pixels)} of {picture.pixels.dtype}; convert it"
            )
        view = _view(modality)
        hidden = hidden_pixels(
            hide, (1, height, width), view=view, in_time=torch.ones(1, dtype=torch.bool)
        )
        filled, restored = impute_frames(model, name, pixels[None], hidden=hidden, view=view)
        _write(filled[0], request)
        return Imputation(files=(request.out,), notes=restored.notes)


def _view(modality: ImagePatches) -> FrameView:
    return FrameView(
        size=modality.size,
        grid=(1, modality.grid["h"], modality.grid["w"]),
        frames_per_token=1,
        to_raw=lambda frames: modality.collate([{"pixels": frames[0]}]),
        to_frames=lambda raw: tensor_of(raw, "pixels"),
    )


def _check_png(request: Request) -> None:
    if request.out.suffix.lower() != ".png":
        raise DataError(
            f"{request.out}: an imputed picture is written as PNG, which keeps every visible "
            "pixel; end the name in .png"
        )


def _write(pixels: Tensor, request: Request) -> None:
    from PIL import Image

    array = pixels.permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(request.out)


IMPUTERS = {ImagePatches: PictureImputer()}
