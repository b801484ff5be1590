"""The same files in every kind of source: what the contract of sources is tried on."""

import io
import tarfile
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SUFFIXES = (".bin", ".nii.gz")
FILES = {
    "cat/a.bin": b"first",
    "cat/b.BIN": b"second file",
    "dog/c.nii.gz": b"",
    "top.bin": bytes(range(256)),
}
OTHERS = {"cat/notes.txt": b"no sample", "cat/.hidden.bin": b"hidden"}


def write_folder(root: Path) -> str:
    for name, data in {**FILES, **OTHERS}.items():
        path = root / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return "folder"


def write_text(root: Path) -> str:
    write_folder(root)
    (root / "folder/list.txt").write_text("\n".join(reversed([*FILES, "cat/notes.txt"])) + "\n\n")
    return "folder/list.txt"


def write_csv(root: Path) -> str:
    write_folder(root)
    rows = [f"{name},{Path(name).parent.name}" for name in [*FILES, "cat/notes.txt"]]
    (root / "folder/list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    return "folder/list.csv"


def write_parquet_list(root: Path) -> str:
    write_folder(root)
    pq.write_table(pa.table({"path": list(FILES)}), root / "folder/list.parquet")
    return "folder/list.parquet"


def write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write_shards(root: Path) -> str:
    everything = list({**FILES, **OTHERS}.items())
    (root / "shards").mkdir()
    write_tar(root / "shards/part-0.tar", dict(everything[::2]))
    write_tar(root / "shards/part-1.tar", dict(everything[1::2]))
    return "shards/part-{0..1}.tar"


def write_table(root: Path) -> str:
    """Two row groups, records of bytes and path as the Hugging Face hub has them."""
    records = [{"bytes": data, "path": name} for name, data in {**FILES, **OTHERS}.items()]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(records, kind)})
    pq.write_table(table, root / "rows.parquet", row_group_size=4)
    return "rows.parquet#image"


def write_dataset(root: Path) -> str:
    import datasets

    records = [{"bytes": data, "path": name} for name, data in {**FILES, **OTHERS}.items()]
    kind = datasets.Features(
        {"image": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}}
    )
    datasets.Dataset.from_dict({"image": records}, features=kind).save_to_disk(root / "saved")
    return "saved#image"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def write_http(root: Path) -> str:
    """A web server on this machine, until the tests end."""
    write_folder(root)
    handler = partial(_Quiet, directory=str(root))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/folder/"


def write_memory(root: Path) -> str:
    import fsspec

    system = fsspec.filesystem("memory")
    for name, data in {**FILES, **OTHERS}.items():
        system.pipe_file(f"memory://{root.name}/files/{name}", data)
    return f"memory://{root.name}/files"


SOURCES: dict[str, Callable[[Path], str]] = {
    "folder": write_folder,
    "text": write_text,
    "csv": write_csv,
    "parquet list": write_parquet_list,
    "shards": write_shards,
    "table": write_table,
    "saved dataset": write_dataset,
    "memory": write_memory,
    "http": write_http,
}
