"""`omnimask search` and `omnimask map`. Imports nothing heavy until it runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from omnimask.commands.trusting import add_trust_option

if TYPE_CHECKING:
    from omnimask.transfer.searching.neighbours import Hit, Sought


def add_search_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `search` and `map` to the parser of `omnimask`."""
    search = commands.add_parser("search", help="nearest neighbours in a file of vectors")
    search.add_argument("features", type=Path, help="Parquet file of `omnimask embed`")
    search.add_argument("queries", nargs="+", help='files, "table.csv#row 3", or paths in it')
    search.add_argument("--encoder", type=Path, default=None, help="for files that are not in it")
    search.add_argument("-k", type=int, default=5, help="neighbours of each query")
    search.add_argument("--out", type=Path, default=None, help="picture sheet (PNG); needs encoder")
    search.add_argument("--json", type=Path, default=None, help="the neighbours as JSON")
    search.add_argument("--whiten", action="store_true", help="let all directions count alike")
    search.add_argument("--only", default=None, metavar="MODALITY", help="of neighbours")
    search.add_argument("--within", action="store_true", help="neighbours of the query's modality")
    search.add_argument(
        "--modality", action="append", default=[], metavar="NAME or .SUFFIX=NAME", help="as embed"
    )
    add_trust_option(search)
    search.set_defaults(run_command=_search)
    drawn = commands.add_parser("map", help="a file of vectors as a map")
    drawn.add_argument("features", type=Path, help="Parquet file of `omnimask embed`")
    drawn.add_argument(
        "--out", type=Path, required=True, help="page (.html) or picture (.png, .svg)"
    )
    drawn.add_argument("--raw", action="store_true", help="do not whiten first")
    drawn.add_argument("--most", type=int, default=5000, help="points; more are thinned out evenly")
    drawn.add_argument("--seed", type=int, default=0)
    drawn.set_defaults(run_command=_map)


def _search(arguments: argparse.Namespace) -> None:
    from omnimask.foundation.errors import RecipeError
    from omnimask.foundation.packages import check_our_packages
    from omnimask.report.drawing.sheet import save
    from omnimask.report.search_sheet import search_sheet
    from omnimask.transfer.searching.features import open_features
    from omnimask.transfer.searching.neighbours import SearchOptions, Seeker, nearest

    check_our_packages()
    options = SearchOptions(
        k=arguments.k, modality=arguments.only, within=arguments.within, whiten=arguments.whiten
    )
    seeker = Seeker(
        open_features(arguments.features), arguments.encoder, modality=tuple(arguments.modality)
    )
    queries = [seeker.seek(query) for query in arguments.queries]
    found = nearest(seeker.table, queries, options)
    print(_words(queries, found))
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(_json(queries, found))
    if arguments.out is not None:
        if seeker.embedder is None:
            raise RecipeError("a picture sheet reads the files again; name the encoder: --encoder")
        print(save(search_sheet(seeker.embedder, queries, found), arguments.out))


def _words(queries: "list[Sought]", found: "list[list[Hit]]") -> str:
    from omnimask.transfer.searching.features import name_of

    lines = []
    for query, hits in zip(queries, found, strict=True):
        lines.append(f"{name_of(query.key)} ({query.modality})")
        for hit in hits:
            label = hit.label or "-"
            lines.append(f"  {hit.similarity:6.3f}  {hit.modality:8} {label:16} {name_of(hit.key)}")
    return "\n".join(lines)


def _json(queries: "list[Sought]", found: "list[list[Hit]]") -> str:
    import json
    from dataclasses import asdict

    def flat(part: "Sought | Hit") -> dict[str, object]:
        key = asdict(part.key)
        return {**key, "modality": part.modality, "label": part.label}

    answer = [
        {
            "query": flat(query),
            "neighbours": [{**flat(hit), "similarity": hit.similarity} for hit in hits],
        }
        for query, hits in zip(queries, found, strict=True)
    ]
    return json.dumps(answer, indent=2) + "\n"


def _map(arguments: argparse.Namespace) -> None:
    from omnimask.report.vector_map import MapOptions, write_map
    from omnimask.transfer.searching.features import open_features

    options = MapOptions(whiten=not arguments.raw, most=arguments.most, seed=arguments.seed)
    print(write_map(open_features(arguments.features), arguments.out, options))
