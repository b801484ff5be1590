"""The mask of example, on tokens made by hand."""

from omnimask.templates.method import ExampleMask
from omnimask.testing import check_masker, made_tokens


def test_its_mask_keeps_the_contract():
    check_masker(ExampleMask(), {"flat": made_tokens({"h": 4, "w": 4}, [16, 16])})
    check_masker(ExampleMask(ratio=0.5), {"ragged": made_tokens(12, [12, 5])})
