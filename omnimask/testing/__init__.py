"""What the parts of a plug-in must keep to, for its own tests; AssertionError says what is broken.

from omnimask.testing import check_modality

def test_my_modality(tmp_path):
    write_six_files(tmp_path)
    check_modality(MyModality(), MyFiles(), tmp_path, compared={"signal": 1e-4})
"""

from omnimask.testing.maskers import check_masker, made_tokens
from omnimask.testing.modalities import check_modality
from omnimask.testing.recipes import check_recipe

__all__ = ["check_masker", "check_modality", "check_recipe", "made_tokens"]
