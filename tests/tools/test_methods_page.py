"""docs/methods.md beside the methods that there are, and the benchmark's list of them."""

import re
from pathlib import Path

from tools.bench_methods import METHODS, TEACHERS, jobs
from tools.methods import methods, small_recipe_of, teacher_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "methods.md").read_text()


def test_every_method_has_its_row_and_what_is_measured_is_said_truly():
    rows = re.findall(
        r"^\| \[[^\]]+\]\(\.\./recipes/(\w+)\.py\) .*\| (yes|not yet) \|$", PAGE, re.M
    )
    assert sorted(name for name, _ in rows) == sorted(
        {name.partition("-")[0] for name in methods()}
    )
    results = PAGE.partition("<!-- results -->")[2].partition("<!-- /results -->")[0]
    measured = set(re.findall(r"^\| ([\w-]+) \| \d", results, re.M))
    assert measured
    assert {name for name, said in rows if said == "yes"} == measured


def test_the_benchmark_has_every_method_after_its_teacher():
    assert sorted(METHODS) == sorted(methods())
    for name in METHODS:
        teacher = teacher_of(small_recipe_of(name))
        if teacher is not None:
            assert teacher in TEACHERS
            assert METHODS.index(teacher) < METHODS.index(name)
    batches = list(jobs(METHODS, ("image",), 1))
    order = [job.method for batch in batches for job in batch]
    assert order.index("mae") < order.index("vqkd") < order.index("beit2")
    assert order.index("beit-tokenizer") < order.index("beit")
