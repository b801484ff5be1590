"""`omnimask probe`: the command line of the probes. Imports nothing heavy until it runs."""

import argparse
import sys
from pathlib import Path

from omnimask.commands.trusting import add_trust_option


def add_probe_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `probe` to the parser of `omnimask`."""
    probe = commands.add_parser("probe", help="what a frozen encoder is worth on labelled samples")
    probe.add_argument("encoder", type=Path, help="a run, a checkpoint or an encoder folder")
    probe.add_argument(
        "--out",
        type=Path,
        default=None,
        help="folder for probe.json, probe.txt; runs/probe-NAME if left out",
    )
    probe.add_argument(
        "--recipe",
        default=None,
        help="module:function whose streams say which files; an encoder folder needs one",
    )
    probe.add_argument("--data", type=Path, default=None, help="folder in place of data.root")
    probe.add_argument("--modality", nargs="+", default=[], help="only streams with one of these")
    probe.add_argument("--layers", type=_layers, default=(-1,), help="all, or --layers=-1,-2")
    probe.add_argument("--few-shot", type=_integers, default=(), help="per class, such as 1,5,10")
    probe.add_argument("--episodes", type=int, default=100, help="draws of each few-shot probe")
    probe.add_argument("--attentive", action="store_true", help="add an attentive probe")
    probe.add_argument("--epochs", type=int, default=40, help="of the attentive probe")
    probe.add_argument("--label-share", type=float, default=1.0, help="such as 0.1 for 10 %%")
    probe.add_argument("--pooling", choices=("mean", "cls"), default="mean")
    probe.add_argument("--max-train", type=int, default=None, help="samples of a stream")
    probe.add_argument("--max-test", type=int, default=None, help="samples of a stream")
    probe.add_argument("--seed", type=int, default=0)
    add_trust_option(probe)
    probe.set_defaults(run_command=_probe)


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,5, got {text!r}") from error


def _layers(text: str) -> tuple[int, ...] | None:
    return None if text == "all" else _integers(text)


def _probe(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from omnimask.recipe.loading import load_named_recipe
    from omnimask.transfer.probing.attentive import Attentive
    from omnimask.transfer.probing.run import probe
    from omnimask.transfer.probing.settings import Probes

    out = arguments.out or Path("runs") / f"probe-{arguments.encoder.resolve().name}"
    results = probe(
        arguments.encoder,
        recipe=None if arguments.recipe is None else load_named_recipe(arguments.recipe),
        data=arguments.data,
        modalities=arguments.modality,
        settings=Probes(
            layers=arguments.layers,
            few_shot=arguments.few_shot,
            episodes=arguments.episodes,
            attentive=Attentive(epochs=arguments.epochs) if arguments.attentive else None,
            label_share=arguments.label_share,
            pooling=arguments.pooling,
            max_train=arguments.max_train,
            max_test=arguments.max_test,
            seed=arguments.seed,
        ),
        out=out,
    )
    # Into a file or a pipe rich writes lines of 80 characters, which break up the intervals.
    console = Console(width=None if sys.stdout.isatty() else 120)
    with console.capture() as page:  # rich would answer a closed pipe in a way of its own
        console.print(results.table())
        for remark in results.remarks():
            console.print(remark, markup=False, highlight=False)
        console.print(f"{out / 'probe.json'}", markup=False, highlight=False)
    print(page.get(), end="")
