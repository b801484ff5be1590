"""Semantic segmentation of pictures and part segmentation of clouds on the sample data.

    omnimask finetune recipes.segmentation:image --encoder RUN --out runs/scenes
    omnimask finetune recipes.segmentation:points --encoder RUN --out runs/parts

Fine-tuning as in `recipes.finetune`, with a class for each place: a plain encoder with a light
head. For pictures the linear decoder of Segmenter, https://arxiv.org/abs/2105.05633, section 3.2;
for points the feature propagation of PointNet++ in Point-MAE's form,
https://arxiv.org/abs/2203.06604, section 4.2. Minutes on two CPU cores.
"""

from modalities.image import ImageFiles, ImagePatches, LabelFiles, LabelPatches
from modalities.points import PartFiles, PointFiles, PointGroups, PointParts
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.transfer.finetuning.place_head import SegmentationHead
from omnimask.transfer.finetuning.recipe import FinetuneRecipe, Validation
from omnimask.transfer.finetuning.segmentation import Segmentation
from recipes.finetune import ENCODER

ROOT = "data/sample"
SCENE_CLASSES = (
    *("background", "ground", "ball", "bottle", "box"),
    *("chair", "cone", "cylinder", "mug", "torus"),
)
PART_CLASSES = (
    *("chair/arm", "chair/back", "chair/leg", "chair/seat"),
    *("mug/cup", "mug/handle", "table/leg", "table/top"),
)


def image() -> FinetuneRecipe:
    """The ten classes of the `maps` scenes, at 64 x 64 pixels in patches of 8.

    Ground and background fill 84 % of the pictures, each object some 2 %: the classes are weighed,
    or the objects are not learnt in so few steps. Patches of 4 would draw finer borders, but cost
    four times as much, and steps are what is short on a CPU.
    """
    size, patch = (64, 64), (8, 8)
    views = {"crop_scale": (0.5, 1.0), "flip": 0.5}
    labels = LabelPatches(
        size=size, patch=patch, stride=1, num_classes=len(SCENE_CLASSES), names=SCENE_CLASSES
    )
    return FinetuneRecipe(
        name="segmentation-image",
        modalities=(ImagePatches(size=size, patch=patch),),
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
                    batch_size=16,
                ),
            ),
        ),
        optim=Optim(steps=1000, lr=2e-3, warmup_steps=100, betas=(0.9, 0.999)),
        encoder=ENCODER,
        task=Segmentation(
            labels=labels, head=SegmentationHead(layers=(-1, -3)), weights="balanced"
        ),
        layer_decay=0.9,
        drop_path=0.1,
        validation=Validation(every=100),
        run=Run(num_workers=1, checkpoint_every=200),
    )


def points() -> FinetuneRecipe:
    """The eight parts of chairs, mugs and tables, of 512 points in 32 groups."""
    train, held_out = PointFiles(path="parts/train"), PointFiles(path="parts/held_out")
    return FinetuneRecipe(
        name="segmentation-points",
        modalities=(PointGroups(num_points=512, num_groups=32, group_size=32),),
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
        encoder=ENCODER,
        task=Segmentation(
            labels=PointParts(num_points=512, names=PART_CLASSES),
            head=SegmentationHead(layers=(-1, -3), hidden=128),
        ),
        drop_path=0.1,
        validation=Validation(every=75),
        run=Run(num_workers=1, checkpoint_every=150),
    )
