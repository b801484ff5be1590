"""`omnimask export`: the command line of exports. Imports nothing heavy until it runs."""

import argparse
from pathlib import Path

from omnimask.commands.trusting import add_trust_option


def add_export_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `export` to the parser of `omnimask`."""
    export = commands.add_parser(
        "export", help="an encoder in another format, checked on real samples"
    )
    export.add_argument("source", type=Path, help="run, checkpoint or encoder folder")
    export.add_argument(
        "--format", required=True, choices=("encoder", "timm", "transformers", "onnx", "torch")
    )
    export.add_argument("--out", type=Path, required=True, help="new folder")
    export.add_argument("--modality", default=None, help="one of the encoder's (all that fit)")
    export.add_argument("--which", choices=("student", "teacher"), default="student")
    export.add_argument(
        "--samples",
        type=Path,
        nargs="+",
        default=None,
        help="files and folders for the parity check (the run's held-out files)",
    )
    export.add_argument(
        "--from",
        dest="start",
        choices=("samples", "tokens"),
        default="samples",
        help="what the graphs of onnx and torch take",
    )
    export.add_argument(
        "--licence", default="not stated", help="of the weights, for the model card"
    )
    export.add_argument(
        "--push",
        metavar="OWNER/NAME",
        default=None,
        help="also put the folder (of --format encoder) on the Hugging Face hub",
    )
    export.add_argument("--private", action="store_true", help="with --push: a new repository is")
    add_trust_option(export)
    export.set_defaults(run_command=_export)


def _export(arguments: argparse.Namespace) -> None:
    from omnimask.foundation.errors import RecipeError
    from omnimask.foundation.packages import check_our_packages
    from omnimask.transfer.exporting.write import export
    from omnimask.transfer.hub import push_to_hub

    check_our_packages()
    if arguments.push is not None and arguments.format != "encoder":
        raise RecipeError(
            f"--push puts encoder folders on the hub, got --format {arguments.format}; write "
            "--format encoder, or put the export there with `hf upload OWNER/NAME FOLDER`"
        )
    if arguments.private and arguments.push is None:
        raise RecipeError("--private is for the repository of --push OWNER/NAME")
    exported = export(
        arguments.source,
        format=arguments.format,
        out=arguments.out,
        modality=arguments.modality,
        which=arguments.which,
        samples=arguments.samples,
        start=arguments.start,
        licence=arguments.licence,
    )
    for parity in exported.parity:
        print(parity)
    print(exported.folder)
    if arguments.push is not None:
        print(push_to_hub(exported.folder, arguments.push, private=arguments.private))
