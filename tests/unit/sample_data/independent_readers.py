"""The content of sample files, by readers that the tool does not use for writing them."""

import gzip
import struct
from pathlib import Path

import numpy as np

from omnimask.sample_data import PARTS


def decoded(path: Path) -> list[np.ndarray]:
    part = next(part for part in PARTS if f"/{part}/" in path.as_posix())
    readers = {
        "images": decoded_image,
        "maps": decoded_image,
        "video": decoded_clip,
        "audio": decoded_sound,
        "points": decoded_points,
        "parts": decoded_points,
        "voxels": decoded_sweep,
        "tables": decoded_table,
        "volumes": decoded_scan,
        "skeletons": decoded_series,
        "sensors": decoded_series,
    }
    return readers[part](path)


def decoded_image(path: Path) -> list[np.ndarray]:
    import tifffile
    from PIL import Image

    if path.suffix == ".tif":
        pixels = tifffile.imread(path)
        assert pixels.dtype == np.uint16
        assert len(np.unique(pixels)) > 256, "a 16-bit file that holds 8 bits"
        return [pixels]
    with Image.open(path) as image:
        return [np.asarray(image)]


def decoded_clip(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.audio[0].codec_context.name == "aac"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return [np.stack(frames), np.concatenate(sound, axis=1)]


def decoded_sound(path: Path) -> list[np.ndarray]:
    import soundfile

    samples, rate_hz = soundfile.read(path, always_2d=True)
    assert rate_hz in (16000, 22050, 44100)
    assert 0.45 < len(samples) / rate_hz < 3.1
    return [samples, np.array(rate_hz)]


def decoded_points(path: Path) -> list[np.ndarray]:
    import open3d as o3d

    if path.suffix == ".npy":
        return [np.load(path)]
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return [arrays[name] for name in sorted(arrays)]
    if path.suffix in (".obj", ".off", ".stl"):
        mesh = o3d.io.read_triangle_mesh(path)
        assert len(mesh.triangles) > 5
        return [np.asarray(mesh.vertices), np.asarray(mesh.triangles)]
    cloud = o3d.io.read_point_cloud(path)
    return [np.asarray(values) for values in (cloud.points, cloud.normals, cloud.colors)]


def decoded_sweep(path: Path) -> list[np.ndarray]:
    import open3d as o3d

    if path.suffix == ".bin":
        return [np.fromfile(path, dtype="<f4").reshape(-1, 4)]
    if path.suffix == ".npy":
        return [np.load(path)]
    cloud = o3d.t.io.read_point_cloud(path)
    place, intensity = cloud.point["positions"].numpy(), cloud.point["intensity"].numpy()
    return [np.concatenate([place, intensity], axis=1)]


def decoded_scan(path: Path) -> list[np.ndarray]:
    """A NIfTI by the layout of its header (nifti1.h): sizes, type, and where the voxels begin."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return [arrays["volume"], arrays["spacing_mm"]]
    data = gzip.decompress(path.read_bytes())
    sizes, (kind,) = struct.unpack_from("<8h", data, 40), struct.unpack_from("<h", data, 70)
    (start,) = struct.unpack_from("<f", data, 108)
    assert (sizes[0], kind, data[344:347]) == (3, 4, b"n+1"), "three axes of int16"
    voxels = np.frombuffer(data, "<i2", offset=int(start)).reshape(sizes[3:0:-1])
    return [voxels, np.array(struct.unpack_from("<3f", data, 80))]


def decoded_series(path: Path) -> list[np.ndarray]:
    if path.suffix == ".npy":
        return [np.load(path)]
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return [arrays[name] for name in sorted(arrays)]
    return decoded_table(path)


def decoded_table(path: Path) -> list[np.ndarray]:
    import pandas as pd

    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    return [table[name].astype(str).to_numpy().astype("U") for name in table.columns]
