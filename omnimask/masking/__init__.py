"""Maskers: frozen records that choose which tokens are shown and which are predicted."""

from omnimask.masking.axis import AxisMask
from omnimask.masking.blocks import BlockMask
from omnimask.masking.by_hint import SampleByHint
from omnimask.masking.cells import CellMask
from omnimask.masking.copies import Copies
from omnimask.masking.full import HideAll, ShowAll
from omnimask.masking.guided import GuidedMask
from omnimask.masking.hints import ChangeHint, Hint, asked_hints, predicted_hints
from omnimask.masking.inverse_blocks import InverseBlockMask
from omnimask.masking.joint import JointBudget
from omnimask.masking.multi_blocks import MultiBlockMask
from omnimask.masking.nearest import NearestMask
from omnimask.masking.noise import NoiseMask
from omnimask.masking.per_modality import PerModality
from omnimask.masking.plan import Copying, Hinted, Masker, MaskPlan
from omnimask.masking.predict import PredictShare, PredictVisible
from omnimask.masking.random import RandomMask
from omnimask.masking.several import SeveralMasks
from omnimask.masking.tube import TubeMask

__all__ = [
    "AxisMask",
    "BlockMask",
    "CellMask",
    "ChangeHint",
    "Copies",
    "Copying",
    "GuidedMask",
    "HideAll",
    "Hint",
    "Hinted",
    "InverseBlockMask",
    "JointBudget",
    "MaskPlan",
    "Masker",
    "MultiBlockMask",
    "NearestMask",
    "NoiseMask",
    "PerModality",
    "PredictShare",
    "PredictVisible",
    "RandomMask",
    "SampleByHint",
    "SeveralMasks",
    "ShowAll",
    "TubeMask",
    "asked_hints",
    "predicted_hints",
]
