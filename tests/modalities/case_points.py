"""Small clouds and meshes in several formats, written without the reader's own code."""

from pathlib import Path

import numpy as np

from modalities.points import PointFiles, PointGroups
from tests.modalities.case import Case

CUBE = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
CUBE_QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def ball(num_points: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(num_points, 3))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def ply_text(xyz: np.ndarray, *, encoding: str = "ascii", claimed: int | None = None) -> bytes:
    header = (
        f"ply\nformat {encoding} 1.0\nelement vertex {len(xyz) if claimed is None else claimed}\n"
        "property float x\nproperty float y\nproperty float z\nend_header\n"
    )
    if encoding == "ascii":
        return (header + "\n".join(" ".join(map(str, row)) for row in xyz) + "\n").encode()
    order = "<f4" if encoding == "binary_little_endian" else ">f4"
    return header.encode() + xyz.astype(order).tobytes()


def off_text(corners: list[tuple[int, ...]], faces: list[tuple[int, ...]]) -> str:
    lines = [f"{len(corners)} {len(faces)} 0"]
    lines += [" ".join(map(str, corner)) for corner in corners]
    lines += [" ".join(map(str, (len(face), *face))) for face in faces]
    return "\n".join(lines) + "\n"


def obj_text(corners: list[tuple[int, ...]], faces: list[tuple[int, ...]]) -> str:
    lines = ["v " + " ".join(map(str, corner)) for corner in corners]
    lines += ["f " + " ".join(str(i + 1) for i in face) for face in faces]
    return "\n".join(lines) + "\n"


def _written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _nan_ply(folder: Path) -> Path:
    xyz = ball(50, 9)
    xyz[[3, 7]] = np.nan
    return _written(folder, "missing_returns.ply", ply_text(xyz))


def _flat_npy(folder: Path) -> Path:
    np.save(folder / "flat.npy", np.zeros(30))
    return folder / "flat.npy"


def _pickled_npy(folder: Path) -> Path:
    np.save(folder / "objects.npy", np.array([{"x": 1}]), allow_pickle=True)
    return folder / "objects.npy"


def _cut_npz(folder: Path) -> Path:
    np.savez(folder / "whole", xyz=ball(80, 3))
    whole = folder / "whole.npz"
    path = _written(folder, "cut.npz", whole.read_bytes()[:300])
    whole.unlink()
    return path


def make_case(root: Path) -> Case:
    (root / "balls").mkdir()
    (root / "cubes").mkdir()
    _written(root / "balls", "a.ply", ply_text(ball(200, 0)))
    _written(root / "balls", "b.ply", ply_text(ball(200, 1), encoding="binary_little_endian"))
    np.save(root / "balls" / "c.npy", ball(100, 2))
    np.savetxt(root / "balls" / "few.xyz", ball(5, 3))  # fewer points than groups
    _written(root / "cubes", "d.off", "OFF\n" + off_text(CUBE, CUBE_QUADS))
    _written(root / "cubes", "e.obj", obj_text(CUBE, CUBE_QUADS))
    np.savez(root / "cubes" / "f.npz", points=ball(90, 4) ** 3)
    whole = ply_text(ball(60, 5), encoding="binary_little_endian")
    return Case(
        # Groups overlap so much that they cover these clouds, as `join` needs to give all back.
        modality=PointGroups(num_points=64, num_groups=16, group_size=24),
        files=PointFiles(),
        root=root,
        round_trip_tolerance={"xyz": 1e-6, "point_ok": 0.0},
        imputed_suffix=".ply",
        bad_files={
            "empty ply": lambda folder: _written(folder, "empty.ply", b""),
            "empty xyz": lambda folder: _written(folder, "empty.xyz", b"\n"),
            "text named ply": lambda folder: _written(folder, "letter.ply", "Dear reader,\n"),
            "text named pcd": lambda folder: _written(folder, "letter.pcd", "Dear reader,\n"),
            "text named npy": lambda folder: _written(folder, "letter.npy", "Dear reader,\n"),
            "text named npz": lambda folder: _written(folder, "letter.npz", "Dear reader,\n"),
            "text named obj": lambda folder: _written(folder, "letter.obj", "Dear reader,\n"),
            "text named off": lambda folder: _written(folder, "letter.off", "Dear reader,\n"),
            "words in xyz": lambda folder: _written(folder, "words.xyz", "1 2 three\n"),
            "truncated binary ply": lambda folder: _written(folder, "cut.ply", whole[:-5]),
            "truncated text ply": lambda folder: _written(
                folder, "cut_text.ply", ply_text(ball(20, 6), claimed=21)
            ),
            "truncated npz": _cut_npz,
            "truncated off": lambda folder: _written(
                folder, "cut.off", "OFF\n" + off_text(CUBE, CUBE_QUADS)[:-20]
            ),
            "ply with nan": _nan_ply,
            "npy of one axis": _flat_npy,
            "npy of objects": _pickled_npy,
            "mesh without faces": lambda folder: _written(folder, "bare.obj", obj_text(CUBE, [])),
            "mesh without area": lambda folder: _written(
                folder,
                "line.off",
                "OFF\n" + off_text([(0, 0, 0), (1, 1, 1), (2, 2, 2)], [(0, 1, 2)]),
            ),
            "face beyond the vertices": lambda folder: _written(
                folder, "beyond.obj", obj_text(CUBE, [(0, 1, 99)])
            ),
        },
    )
