"""`omnimask embed`: the command line. Imports nothing heavy until it runs."""

import argparse
import sys
from pathlib import Path

from omnimask.commands.trusting import add_trust_option


def add_embed_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `embed` to the parser of `omnimask`."""
    embed = commands.add_parser("embed", help="one vector per file, or per row of tables")
    embed.add_argument("encoder", type=Path, help="run, checkpoint or encoder folder")
    embed.add_argument("paths", type=Path, nargs="+", help="files and folders, in any mix")
    embed.add_argument("--out", type=Path, required=True, help="Parquet file; goes on with it")
    embed.add_argument("--pooling", choices=("mean", "cls"), default="mean")
    embed.add_argument("--batch-size", type=int, default=32)
    embed.add_argument("--part-size", type=int, default=256, help="vectors written at once")
    embed.add_argument(
        "--modality",
        action="append",
        default=[],
        metavar="NAME or .SUFFIX=NAME",
        help="where several modalities read files of one suffix; may be repeated",
    )
    add_trust_option(embed)
    embed.set_defaults(run_command=_embed)


def _embed(arguments: argparse.Namespace) -> None:
    """Exit status 1 where a file could not be embedded."""
    from omnimask.foundation.packages import check_our_packages
    from omnimask.transfer.embedding.embed import embed
    from omnimask.transfer.embedding.vectors import EmbedOptions

    check_our_packages()
    options = EmbedOptions(
        pooling=arguments.pooling,
        batch_size=arguments.batch_size,
        part_size=arguments.part_size,
        modality=tuple(arguments.modality),
    )
    done = embed(
        arguments.encoder,
        arguments.paths,
        arguments.out,
        options=options,
        progress=lambda line: print(line, file=sys.stderr),
    )
    print(
        f"{done.out}: {done.vectors} vectors, {done.new} of them new in {done.seconds:.1f} s "
        f"({done.per_second:.1f} files/s); {done.skipped} were there"
    )
    if done.unknown:
        print(f"{done.unknown} files of other kinds lay in the folders; {done.bad} lists them")
    if done.failed:
        print(f"{done.failed} files could not be embedded; {done.bad} says why", file=sys.stderr)
        raise SystemExit(1)
