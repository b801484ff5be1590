"""One folder per modality; each knows `omnimask` and none of its neighbours."""

PART_OF = "omnimask"  # told apart from other packages of this name by omnimask.foundation.packages

# Under which names format 1 saved the parts of encoders, for hashes of encoders in older files.
FORMAT_1 = {
    "modalities.audio:AudioSpectrogram": "modalities.audio.tokens:AudioSpectrogram",
    "modalities.image:ImagePatches": "modalities.image.tokens:ImagePatches",
    "modalities.image:LabelPatches": "modalities.image.labels:LabelPatches",
    "modalities.points:PointGroups": "modalities.points.tokens:PointGroups",
    "modalities.tabular:Column": "modalities.tabular.schema:Column",
    "modalities.tabular:Table": "modalities.tabular.schema:Table",
    "modalities.tabular:TableCells": "modalities.tabular.tokens:TableCells",
    "modalities.video:VideoTubelets": "modalities.video.tokens:VideoTubelets",
    "modalities.voxels:VoxelGrid": "modalities.voxels.tokens:VoxelGrid",
}

# Fields that came later, with the values that leave an encoder as it was.
SINCE_FORMAT_1 = {"modalities.points:PointGroups": {"unit": 1.0}}
