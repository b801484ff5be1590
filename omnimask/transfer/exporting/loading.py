"""The lines that load an export, for its model card."""

from pathlib import Path

from omnimask.tokens.modality import Modality
from omnimask.transfer.exporting.graph_file import read_graph_file
from omnimask.transfer.exporting.pictures import Clip, Picture
from omnimask.transfer.exporting.video_mae import POSITIONS


def how_to_load(format: str, modality: Modality, out: Path, folder: Path) -> str:
    """Python that prints nothing and ends with the features; `folder` holds the export now, `out`
    is where it will be.
    """
    name = modality.name
    if format == "encoder":
        return (
            f"import omnimask\n\nencoder = omnimask.load_encoder({str(out)!r})\n"
            f"# a sample as the reader of its modality returns it\n"
            f"vectors = encoder.embed([{{{name!r}: sample}}])\n"
        )
    if format == "timm":
        return (
            f"import timm\n\nmodel = timm.create_model({'local-dir:' + str(out)!r}, "
            "pretrained=True).eval()\n"
            "transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))\n"
            "vector = model(transform(picture)[None])  # forward_features for tokens\n"
        )
    if format == "transformers":
        return _transformers(modality, out, folder)
    graph = read_graph_file(folder, name)
    given = "".join(f"# {part}\n" for part in graph.inputs)
    given += f"inputs = graph_inputs({str(out)!r}, {name!r}, samples)\n"
    if format == "onnx":
        return (
            "import onnxruntime\nfrom omnimask.transfer.exporting import graph_inputs\n\n"
            f"session = onnxruntime.InferenceSession({str(out / f'{name}.onnx')!r})\n{given}"
            "pooled, tokens, *_ = session.run("
            "None, {name: part.numpy() for name, part in inputs.items()})\n"
        )
    return (
        "import torch\nfrom omnimask.transfer.exporting import graph_inputs\n\n"
        f"model = torch.export.load({str(out / f'{name}.pt2')!r}).module()\n{given}"
        "pooled, tokens, *_ = model(*inputs.values())\n"
    )


def _transformers(modality: Modality, out: Path, folder: Path) -> str:
    if isinstance(modality, Picture):
        return (
            "import torch, transformers\n\n"
            f"model = transformers.ViTMAEModel.from_pretrained({str(out)!r}).eval()\n"
            "# Nothing is masked, but tokens are shuffled unless the noise rises:\n"
            f"noise = torch.arange({modality.num_tokens}).float().expand(len(pixel_values), -1)\n"
            "tokens = model(pixel_values, noise=noise).last_hidden_state[:, 1:]\n"
        )
    assert isinstance(modality, Clip)
    lines = (
        "import transformers\n\n"
        f"model = transformers.VideoMAEModel.from_pretrained({str(out)!r}).eval()\n"
    )
    if (folder / POSITIONS).exists():
        lines = "from safetensors.torch import load_file\n" + lines
        lines += (
            "# VideoMAE computes positions and never loads them; these are the encoder's:\n"
            f"positions = load_file({str(out / POSITIONS)!r})['positions']\n"
            "model.embeddings.position_embeddings = positions\n"
        )
    return lines + "tokens = model(pixel_values).last_hidden_state\n"
