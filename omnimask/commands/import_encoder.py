"""`omnimask import`: the command line of imports. Imports nothing heavy until it runs."""

import argparse
import shutil
from pathlib import Path


def add_import_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `import` to the parser of `omnimask`."""
    parser = commands.add_parser("import", help="an encoder folder from another project's weights")
    parser.add_argument(
        "format",
        help="its format, 'auto' to tell it from the keys, or 'hub' for an encoder that "
        "`omnimask export --push` has put there",
    )
    parser.add_argument("file", type=Path, help=".safetensors or .pth; or OWNER/NAME[@REVISION]")
    parser.add_argument("--out", type=Path, required=True, help="new encoder folder")
    parser.add_argument("--num-heads", type=int, default=None, help="where the width does not tell")
    parser.add_argument("--size", type=int, nargs="+", default=None, help="of the input")
    parser.add_argument("--mean", type=float, nargs="+", default=None, help="per channel")
    parser.add_argument("--std", type=float, nargs="+", default=None, help="per channel")
    parser.set_defaults(run_command=_import)


def _import(arguments: argparse.Namespace) -> None:
    if arguments.format == "hub":
        _fetch(arguments)
        return
    from omnimask.transfer.encoder_folder import save_encoder
    from omnimask.transfer.importing.run import import_encoder

    encoder = import_encoder(
        arguments.file,
        None if arguments.format == "auto" else arguments.format,
        num_heads=arguments.num_heads,
        size=arguments.size and tuple(arguments.size),
        mean=arguments.mean and tuple(arguments.mean),
        std=arguments.std and tuple(arguments.std),
    )
    (modality,) = encoder.info.modalities
    config = encoder.info.encoder
    print(
        f"{encoder.info.origin['format']}: width {config.width}, depth {config.depth}, {modality}"
    )
    print(save_encoder(encoder, arguments.out))


def _fetch(arguments: argparse.Namespace) -> None:
    """The encoder folder of a repository, card included."""
    from omnimask.foundation.errors import RecipeError
    from omnimask.transfer.encoder_folder import read_encoder_folder
    from omnimask.transfer.hub import FILES, download_encoder

    if arguments.out.exists():
        raise RecipeError(f"{arguments.out} exists already; name a new folder in --out")
    repo, _, revision = arguments.file.as_posix().partition("@")
    cached = download_encoder(repo, revision=revision or None)
    read_encoder_folder(cached)  # what this version cannot load is not written
    arguments.out.mkdir(parents=True)
    for name in FILES:
        if (cached / name).is_file():
            shutil.copyfile(cached / name, arguments.out / name)
    print(arguments.out)
