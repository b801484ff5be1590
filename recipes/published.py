"""Numbers and data that published recipes share. Sizes are those of the training sets."""

from modalities.audio import AudioFiles
from modalities.image import ImageFiles
from modalities.points import PointFiles
from modalities.video import VideoFiles
from modalities.voxels import SweepFiles
from omnimask.data.pixels import Interpolation
from omnimask.recipe.settings import Data, Stream

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

    `batch_size` is that of a micro-batch, as one GPU takes it: the published batch is this times
    `optim.accumulate`, and all GPUs share its micro-batches.
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


def videos(
    *,
    batch_size: int,
    frame_stride: int = 4,
    crop_scale: tuple[float, float] = (0.5, 1.0),
    flip: float = 0.5,
    root: str = "data/kinetics",
) -> Data:
    """Video files in class folders `train/` and `val/`, as Kinetics-400 usually lies."""
    training = VideoFiles(path="train", frame_stride=frame_stride, crop_scale=crop_scale, flip=flip)
    stream = Stream(
        name="video",
        files={"video": training},
        held_out={"video": VideoFiles(path="val", frame_stride=frame_stride)},
        batch_size=batch_size,
    )
    return Data(root=root, streams=(stream,), max_bad_files=1000)


def audioset(*, batch_size: int, gain_db: float = 0.0, root: str = "data/audioset") -> Data:
    """AudioSet's clips as sound files below `train/` (balanced and unbalanced) and `eval/`.

    Clips have several labels, which folders cannot say: there are none.
    """
    stream = Stream(
        name="audio",
        files={"audio": AudioFiles(path="train", labels="none", gain_db=gain_db)},
        held_out={"audio": AudioFiles(path="eval", labels="none")},
        batch_size=batch_size,
    )
    return Data(root=root, streams=(stream,), max_bad_files=10_000)


def shapenet(*, batch_size: int, root: str = "data/shapenet55") -> Data:
    """ShapeNet-55's clouds of 8192 points (.npy, y up) in class folders `train/` and `test/`.

    Point-MAE's download has them in one folder `shapenet_pc`; link those of ShapeNet-55's
    `train.txt` and `test.txt` to `train/<first part of the name>/` and `test/...`. Augmentation is
    that of its code: stretched along each axis and shifted, not rotated.
    """
    stream = Stream(
        name="points",
        files={"points": PointFiles(path="train", rotate="none", up_axis="y")},
        held_out={"points": PointFiles(path="test", up_axis="y")},
        batch_size=batch_size,
    )
    return Data(root=root, streams=(stream,))


def nuscenes_sweeps(*, batch_size: int, root: str = "data/nuscenes") -> Data:
    """nuScenes' lidar key frames (`samples/LIDAR_TOP/*.pcd.bin`), linked to `train/` and `val/`.

    Which is which is in the official split of scenes. Augmentation is that of Voxel-MAE's
    configuration: turned by at most 0.3925 rad, mirrored, scaled by 0.95 to 1.05.
    """
    training = SweepFiles(path="train", labels="none", columns_bin=5, rotate_deg=22.5)
    stream = Stream(
        name="voxels",
        files={"voxels": training},
        held_out={"voxels": SweepFiles(path="val", labels="none", columns_bin=5)},
        batch_size=batch_size,
    )
    return Data(root=root, streams=(stream,))
