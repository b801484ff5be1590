import json
import re

import numpy as np

from omnimask.report.map import MOST, HeldOutVectors, held_out_map


def vectors(kind: str, num: int, *, width: int = 6) -> HeldOutVectors:
    values = np.random.default_rng(len(kind)).normal(size=(num, width)).astype(np.float32)
    labels = tuple(f"class {i % 3}" if i % 2 else i / 10 for i in range(num))
    names = tuple(f"{kind}/<{i}>" for i in range(num))
    return HeldOutVectors(kind=kind, names=names, labels=labels, values=values)


def scenes(page: str) -> list[list[dict]]:
    """The traces of every scene on the page."""
    return [json.loads(found)[0] for found in re.findall(r"const \[data, layout\] = (.*?);P", page)]


def test_every_sample_stands_in_both_colourings() -> None:
    found = held_out_map([vectors("image", 40), vectors("audio", 30)])
    assert found.needs_plotly
    by_kind, by_class = scenes(found.html)
    assert {trace["name"]: len(trace["x"]) for trace in by_kind} == {"image": 40, "audio": 30}
    assert sum(len(trace["x"]) for trace in by_class) == 70
    # Numbers are no classes.
    assert {trace["name"] for trace in by_class if trace["name"].startswith("image")} == {
        "image",
        *(f"image: class {i}" for i in range(3)),
    }


def test_many_samples_are_thinned_and_broken_features_left_out() -> None:
    many, broken = vectors("image", MOST + 100), vectors("audio", 30)
    broken.values[3] = np.nan
    found = held_out_map([many, broken])
    (images, audio) = sorted((len(t["x"]) for t in scenes(found.html)[0]), reverse=True)
    assert (images, audio) == (MOST, 29)


def test_too_few_samples_are_a_sentence() -> None:
    found = held_out_map([vectors("image", 20)])
    assert not found.needs_plotly
    assert "this run has 20" in found.html
    assert "this run has 0" in held_out_map([]).html
