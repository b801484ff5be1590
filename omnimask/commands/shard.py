"""`omnimask shard`: any source of files as tar shards. Imports nothing heavy until it runs."""

import argparse
import os
import sys
from pathlib import Path


def add_shard_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `shard` to the parser of `omnimask`."""
    shard = commands.add_parser("shard", help="pack files into tar shards that runs read directly")
    shard.add_argument("source", help="a folder, a list, shards, a column of Parquet, or a URL")
    shard.add_argument("--out", type=Path, required=True, help="the folder of the shards")
    shard.add_argument("--root", default=".", help="what SOURCE is below (%(default)s)")
    shard.add_argument(
        "--suffixes", default="", help="only files that end so, as .jpg,.cls (every file)"
    )
    shard.add_argument(
        "--shard-mb", type=int, default=512, help="MiB of a shard, about (%(default)s)"
    )
    shard.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)"
    )
    shard.set_defaults(run_command=_shard)


def _shard(arguments: argparse.Namespace) -> None:
    from omnimask.data.folders import list_files
    from omnimask.data.sources.sharding import shard

    suffixes = tuple(s.strip().lower() for s in arguments.suffixes.split(",")) or ("",)
    found = list_files(
        arguments.root, arguments.source, suffixes, what="files to pack", labels="none"
    )
    done = shard(
        found,
        arguments.out,
        shard_mb=max(arguments.shard_mb, 1),
        num_workers=arguments.workers,
        progress=lambda line: print(line, file=sys.stderr),
    )
    print(
        f"{arguments.out}: {done.samples} samples in {done.shards} shards, {done.new} of them new, "
        f'{done.bytes / 1e6:.1f} MB; in a recipe: path="{arguments.out}/shard-*.tar"'
    )
