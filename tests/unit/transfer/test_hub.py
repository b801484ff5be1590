"""Encoder folders to a hub and back, over HTTP to a stand-in on this machine."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants as hub_constants
import pytest
import torch

import omnimask
from omnimask import OmnimaskError, RecipeError
from omnimask.commands.main import main
from omnimask.foundation.errors import DamageError
from omnimask.tokens.modality import Visit
from tests.unit.export_cases import ENCODERS, scattered
from tests.unit.toy import ToyFiles
from tests.unit.toy_recipe import TOYS
from tests.unit.transfer.hub_server import Hub, hub


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub() as running:
        monkeypatch.setattr(hub_constants, "ENDPOINT", running.address)
        files = running.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(hub_constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.setattr(hub_constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setenv("HF_TOKEN", "stand-in")
        yield running


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `omnimask export --format encoder` writes it, of weights that hide nothing."""
    toy = TOYS[0]
    samples = [ToyFiles().open(".", toy).read(i, Visit(key=0, augment=False)) for i in range(2)]
    out = tmp_path_factory.mktemp("hub") / "it's one"
    encoder = scattered((toy,), ENCODERS["both"])
    return omnimask.export(encoder, format="encoder", out=out, samples={toy.name: samples}).folder


def test_what_is_pushed_comes_back_bit_for_bit_with_its_card(server: Hub, exported: Path):
    assert omnimask.push_to_hub(exported, "me/one", private=True) == f"{server.address}/me/one"
    assert server.private == {"me/one"}
    names = {"encoder.json", "encoder.safetensors", "SHA256SUMS", "README.md"}
    assert server.repos["me/one"].keys() == names
    card = server.repos["me/one"]["README.md"].decode()
    assert "encoder = omnimask.from_pretrained('me/one')\n" in card
    assert str(exported) not in card
    before, after = omnimask.load_encoder(exported), omnimask.from_pretrained("me/one")
    assert after.info == before.info
    weights = after.state_dict()
    assert weights.keys() == before.state_dict().keys()
    assert all(torch.equal(value, weights[name]) for name, value in before.state_dict().items())
    assert omnimask.from_pretrained(exported).hash() == after.hash()


def test_weights_that_changed_on_the_way_are_refused(server: Hub, exported: Path, tmp_path: Path):
    omnimask.push_to_hub(exported, "me/one")
    weights = server.repos["me/one"]["encoder.safetensors"]
    server.repos["me/one"]["encoder.safetensors"] = weights[:-1] + bytes([weights[-1] ^ 1])
    with pytest.raises(DamageError, match=r"encoder\.safetensors has another checksum"):
        omnimask.from_pretrained("me/one")
    del server.repos["me/one"]["SHA256SUMS"]
    with pytest.raises(DamageError, match="SHA256SUMS is missing"):
        omnimask.from_pretrained("me/one")
    damaged = tmp_path / "damaged"
    shutil.copytree(exported, damaged)
    (damaged / "encoder.json").write_text("{}")
    with pytest.raises(DamageError, match=r"encoder\.json has another checksum.*export it again"):
        omnimask.push_to_hub(damaged, "me/two")
    assert "me/two" not in server.repos


def test_errors_are_named(server: Hub, exported: Path, tmp_path: Path):
    with pytest.raises(OmnimaskError, match=r"(?s)me/nobody: the hub said: .*hf auth login"):
        omnimask.from_pretrained("me/nobody")
    with pytest.raises(RecipeError, match="neither a folder nor the name of a repository"):
        omnimask.from_pretrained("runs/mae/checkpoints")
    with pytest.raises(RecipeError, match="no revision"):
        omnimask.from_pretrained(exported, revision="main")
    with pytest.raises(RecipeError, match=r"no encoder folder with a model card.*omnimask export"):
        omnimask.push_to_hub(tmp_path, "me/one")
    server.repos["me/other"] = {"config.json": b"{}"}
    with pytest.raises(RecipeError, match=r"no encoder of omnimask: it has no encoder\.json"):
        omnimask.from_pretrained("me/other")


def test_no_network_is_said(monkeypatch: pytest.MonkeyPatch, exported: Path):
    monkeypatch.setattr(hub_constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OmnimaskError, match="the hub said"):
        omnimask.push_to_hub(exported, "me/one", token="none")


def test_the_package_is_named_when_missing(monkeypatch: pytest.MonkeyPatch, exported: Path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for use in (
        lambda: omnimask.push_to_hub(exported, "me/one"),
        lambda: omnimask.from_pretrained("me/one"),
    ):
        with pytest.raises(RecipeError, match=r"huggingface_hub.*'omnimask\[hub\]'"):
            use()


def test_the_commands_push_and_fetch(
    server: Hub, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    omnimask.push_to_hub(exported, "me/one")
    fetched = tmp_path / "fetched"
    assert main(["import", "hub", "me/one", "--out", str(fetched)]) == 0
    assert omnimask.load_encoder(fetched).hash() == omnimask.load_encoder(exported).hash()
    assert (fetched / "README.md").is_file()
    assert main(["import", "hub", "me/one", "--out", str(fetched)]) == 2
    push = ["export", str(fetched), "--out", str(tmp_path / "x"), "--push", "me/two"]
    assert main([*push, "--format", "timm"]) == 2
    said = capsys.readouterr().err
    assert "exists already" in said
    assert "--push puts encoder folders on the hub, got --format timm" in said
