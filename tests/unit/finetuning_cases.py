"""Fine-tuning recipes on toy waves, which tests of `omnimask.transfer.finetuning` share."""

from pathlib import Path
from typing import Any

from omnimask.network.encoder import Encoder
from omnimask.recipe.settings import Data, Optim, Run, Stream
from omnimask.transfer.finetuning.recipe import FinetuneRecipe
from tests.unit.toy import Toy, ToyFiles


def toy_finetune(root: str = ".", **changes: Any) -> FinetuneRecipe:
    """Three classes of waves; eight steps."""
    stream = Stream(
        name="toy",
        files={"toy": ToyFiles()},
        held_out={"toy": ToyFiles(path="held_out", num_samples=12)},
        batch_size=6,
    )
    fields: dict[str, Any] = {
        "name": "toy-finetune",
        "modalities": (Toy(),),
        "data": Data(root=root, streams=(stream,)),
        "optim": Optim(steps=8, lr=1e-2, warmup_steps=2),
        "encoder": Encoder(width=16, depth=2, num_heads=2),
        "run": Run(num_workers=0, log_every=1, checkpoint_every=3, tracker="none", report=False),
    }
    return FinetuneRecipe(**{**fields, **changes})


def write_targets(root: Path, columns: dict[str, list[str]]) -> str:
    """A CSV with a row for each training and held-out toy sample; returns its name."""
    files = [(ToyFiles(), 24), (ToyFiles(path="held_out"), 12)]
    names = [f"class-{i % 3}/{part.path}-{i:03}" for part, count in files for i in range(count)]
    lines = [",".join(["name", *columns])]
    for i, name in enumerate(names):
        lines.append(",".join([name, *(cells[i % len(cells)] for cells in columns.values())]))
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return "labels.csv"
