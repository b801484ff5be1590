"""Semantic segmentation of pictures and part segmentation of clouds on the sample data.

    omnimask finetune recipes.segmentation:image --encoder RUN --out runs/segmentation
    omnimask finetune recipes.segmentation:points --encoder RUN --out runs/parts

A plain encoder with a light head: for pictures the linear decoder of Segmenter,
https://arxiv.org/abs/2105.05633, section 3.2; for points the feature propagation of PointNet++ in
Point-MAE's form, https://arxiv.org/abs/2203.06604, section 4.2. Minutes on two CPU
cores.
"""

from modalities.image import ImageFiles, ImagePatches, LabelFiles, LabelPatches
from modalities.points import PartFiles, PointFiles, PointGroups, PointParts
from omnimask.recipe import Data, Optim, Run, Stream
from omnimask.segmentation import Segmentation, SegmentationHead

ROOT = "data/sample"
SCENE_CLASSES = (
    *("background", "ground", "ball", "bottle", "box"),
    *("chair", "cone", "cylinder", "mug", "torus"),
)
PART_CLASSES = (
    *("chair/arm", "chair/back", "chair/leg", "chair/seat"),
    *("mug/cup", "mug/handle", "table/leg", "table/top"),
)


def image() -> Segmentation:
    """The ten classes of the `maps` scenes, at 64 x 64 pixels in patches of 4."""
    size, patch = (64, 64), (4, 4)
    views = {"crop_scale": (0.5, 1.0), "flip": 0.5}
    return Segmentation(
        name="segmentation-image",
        input=ImagePatches(size=size, patch=patch),
        labels=LabelPatches(
            size=size, patch=patch, stride=1, num_classes=len(SCENE_CLASSES), names=SCENE_CLASSES
        ),
        data=Data(
            root=ROOT,
            streams=(
                Stream(
                    name="scenes",
                    files={
                        "image": ImageFiles(path="maps/train/rgb", **views),
                        "semantic": LabelFiles(path="maps/train/semantic", **views),
                    },
                    held_out={
                        "image": ImageFiles(path="maps/held_out/rgb"),
                        "semantic": LabelFiles(path="maps/held_out/semantic"),
                    },
                    batch_size=8,
                ),
            ),
        ),
        optim=Optim(steps=400, lr=2e-3, warmup_steps=40, betas=(0.9, 0.999)),
        head=SegmentationHead(layers=(-1, -3)),
        run=Run(num_workers=1, checkpoint_every=200),
    )


def points() -> Segmentation:
    """The eight parts of chairs, mugs and tables, of 512 points in 32 groups."""
    train, held_out = PointFiles(path="parts/train"), PointFiles(path="parts/held_out")
    return Segmentation(
        name="segmentation-points",
        input=PointGroups(num_points=512, num_groups=32, group_size=32),
        labels=PointParts(num_points=512, names=PART_CLASSES),
        data=Data(
            root=ROOT,
            streams=(
                Stream(
                    name="clouds",
                    files={"points": train, "parts": PartFiles(points=train)},
                    held_out={"points": held_out, "parts": PartFiles(points=held_out)},
                    batch_size=8,
                ),
            ),
        ),
        optim=Optim(steps=300, lr=2e-3, warmup_steps=30, betas=(0.9, 0.999)),
        head=SegmentationHead(layers=(-1, -3), hidden=128),
        run=Run(num_workers=1, checkpoint_every=150),
    )
