"""Numbers and data that published recipes share. Sizes are those of the training sets."""

from modalities.image import ImageFiles
from modalities.video import VideoFiles
from omnimask.pixels import Interpolation
from omnimask.recipe import Data, Stream

IMAGENET_1K = 1_281_167  # https://arxiv.org/abs/1409.0575
# ImageNet's channel statistics, as torchvision's reference training has them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def steps_of(*, epochs: float, samples: int, batch: int) -> int:
    """Optimisation steps of `epochs` passes over `samples`, incomplete batches dropped."""
    return int(epochs * (samples // batch))


def imagenet(
    *,
    batch_size: int,
    crop_scale: tuple[float, float] = (0.2, 1.0),
    interpolation: Interpolation = "bicubic",
    root: str = "data/imagenet",
) -> Data:
    """ImageNet-1k in its usual folders `train/<class>/` and `val/<class>/`.

    `batch_size` is that of one process and micro-batch: the published batch is this times the
    number of GPUs times `optim.accumulate`.
    """
    training = ImageFiles(
        path="train", crop_scale=crop_scale, flip=0.5, interpolation=interpolation
    )
    stream = Stream(
        name="image",
        files={"image": training},
        held_out={"image": ImageFiles(path="val", interpolation=interpolation)},
        batch_size=batch_size,
    )
    return Data(root=root, streams=(stream,), max_bad_files=100)


def videos(*, batch_size: int, frame_stride: int = 4, root: str = "data/kinetics") -> Data:
    """Video files in class folders `train/` and `val/`, as Kinetics-400 usually lies."""
    training = VideoFiles(path="train", frame_stride=frame_stride, flip=0.5)
    stream = Stream(
        name="video",
        files={"video": training},
        held_out={"video": VideoFiles(path="val", frame_stride=frame_stride)},
        batch_size=batch_size,
    )
    return Data(root=root, streams=(stream,), max_bad_files=1000)
