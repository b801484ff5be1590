"""`omnimask sample-data`: small data to try things on. Imports nothing heavy until it runs."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ABOUT = """\
Writes a small labelled data set for every modality: real files, made on this machine.

Nothing is downloaded. Digits, photographs and tables come from inside the scikit-learn and
scikit-image packages; sounds, shapes, clips, LiDAR sweeps and scenes are computed. The folder
appears at its place in one rename when everything in it is written; parts that it lacks are written
beside it and moved in, so that others may read it meanwhile.

With --scenes N it makes a world instead (docs/world.md): N generated scenes for each of the
senses, every factor of which is known. A quarter of all scenes are seen by all six senses under one
name, the others by one sense each: of a sense's N files two thirds are paired, one third is not,
and six senses take 8 N / 3 scenes. One scene in five is held out. Run again, it goes on where it
was stopped, and a larger N adds to what is there.
"""


def add_sample_data_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Adds `sample-data` to the parser of `omnimask`."""
    sample = commands.add_parser(
        "sample-data",
        help="make a small data set of every modality",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sample.add_argument("root", type=Path, help="the folder to make, such as data/sample")
    sample.add_argument("--force", action="store_true", help="make it anew where it is complete")
    sample.add_argument("--only", default=None, help="parts by comma, such as images,audio")
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument(
        "--workers", "--processes", type=int, default=2, help="(default %(default)s)"
    )
    sample.add_argument("--scenes", type=int, help="make a world with so many scenes per sense")
    sample.add_argument("--senses", nargs="+", default=None, help="of the world; all if left out")
    sample.set_defaults(run_command=_sample_data)


def _sample_data(arguments: argparse.Namespace) -> None:
    started = time.perf_counter()
    kept = "is as it was" if arguments.scenes is None else "can be gone on with"
    with _clean_end(f"interrupted; {arguments.root} {kept}"):
        made = _make(arguments)
    if made:
        print(f"{arguments.root} is ready after {time.perf_counter() - started:.1f} s")


def _make(arguments: argparse.Namespace) -> bool:
    root = arguments.root.resolve()
    if arguments.scenes is not None:
        from omnimask.sample_data.world.generate import generate
        from omnimask.sample_data.world.layout import SENSES

        generate(
            root,
            scenes=arguments.scenes,
            senses=arguments.senses or SENSES,
            seed=arguments.seed,
            processes=arguments.workers,
        )
        return True
    from omnimask.sample_data import PARTS
    from omnimask.sample_data.make import make_sample_data

    return make_sample_data(
        root,
        parts=arguments.only.split(",") if arguments.only else PARTS,
        seed=arguments.seed,
        force=arguments.force,
        workers=arguments.workers,
    )


@contextmanager
def _clean_end(said: str) -> Iterator[None]:
    """Ending by `kill` or Ctrl-C goes through the clean-up of what is being written."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    except KeyboardInterrupt:
        print(said, file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)
