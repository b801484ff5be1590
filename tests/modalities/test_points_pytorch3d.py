"""PyTorch3D's part, with a stand-in for the package: it has no wheel, and its kernels need CUDA."""

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import Tensor

from modalities.points import available_readers, chamfer_l1, chamfer_l2, group_points
from modalities.points import pytorch3d_part as part


class Kernels:
    """Two functions of `pytorch3d.ops` after their documentation; `calls` has the names."""

    def __init__(self, error: str = "") -> None:
        self.error, self.calls = error, list[str]()

    def knn_points(
        self,
        p1: Tensor,
        p2: Tensor,
        lengths1: Tensor | None = None,
        lengths2: Tensor | None = None,
        norm: int = 2,
        K: int = 1,  # noqa: N803 PyTorch3D's name
        version: int = -1,
        return_nn: bool = False,
        return_sorted: bool = True,
    ) -> SimpleNamespace:
        self._called("knn_points")
        squared = (p1[:, :, None] - p2[:, None]).square().sum(dim=3)
        if lengths2 is not None:
            beyond = torch.arange(p2.shape[1]) >= lengths2[:, None]
            squared = squared.masked_fill(beyond[:, None], torch.inf)
        found = squared.topk(K, dim=2, largest=False, sorted=return_sorted)
        return SimpleNamespace(dists=found.values, idx=found.indices, knn=None)

    def sample_farthest_points(
        self,
        points: Tensor,
        lengths: Tensor | None = None,
        K: int = 50,  # noqa: N803
        random_start_point: bool = False,
    ) -> tuple[Tensor, Tensor]:
        self._called("sample_farthest_points")
        chosen = torch.full((len(points), K), -1)
        for row, cloud in enumerate(points):
            length = len(cloud) if lengths is None else int(lengths[row])
            nearest, now = torch.full((length,), torch.inf), 0
            for number in range(min(K, length)):
                chosen[row, number] = now
                squared = (cloud[:length] - cloud[now]).square().sum(dim=1)
                nearest = torch.minimum(nearest, squared)
                now = int(nearest.argmax())
        return points.gather(1, chosen.clamp_min(0)[:, :, None].expand(-1, -1, 3)), chosen

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.error:
            raise RuntimeError(self.error)


@pytest.fixture(autouse=True)
def no_choice_is_left_over() -> Iterator[None]:
    part._choice.cache_clear()
    yield
    part._choice.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, kernels: Kernels) -> None:
    """As PyTorch3D on the CPU's tensors, in place of CUDA's."""
    package, ops = ModuleType("pytorch3d"), ModuleType("pytorch3d.ops")
    vars(ops).update(
        knn_points=kernels.knn_points, sample_farthest_points=kernels.sample_farthest_points
    )
    vars(package).update(ops=ops, __version__="0.7.9")
    monkeypatch.setitem(sys.modules, "pytorch3d", package)
    monkeypatch.setitem(sys.modules, "pytorch3d.ops", ops)
    monkeypatch.setattr(part, "_DEVICES", ("cpu",))


def results() -> list[Tensor]:
    """Groups of clouds of several lengths, and Chamfer losses with their gradients."""
    generator = torch.Generator().manual_seed(0)
    xyz = torch.randn(4, 90, 3, generator=generator)
    ok = torch.arange(90).expand(4, 90) < torch.tensor([[90], [60], [30], [5]])
    groups = group_points(xyz, ok, num_groups=8, group_size=12)
    found = [
        *(groups.center_ids[row, :count] for row, count in enumerate((8, 8, 8, 5))),
        *(groups.member_ids[row, :count] for row, count in enumerate((8, 8, 8, 5))),
    ]
    for loss in (chamfer_l1, chamfer_l2):
        predicted = torch.randn(2, 3, 8 * 3, generator=generator).requires_grad_()
        truth = torch.randn(2, 3, 11 * 3, generator=generator)
        values = loss(predicted, truth)
        values.sum().backward()
        assert predicted.grad is not None
        found += [values.detach(), predicted.grad]
    return found


def test_kernels_give_what_plain_torch_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, kernels = results(), Kernels()
    install(monkeypatch, kernels)
    for ours, theirs in zip(plain, results(), strict=True):
        torch.testing.assert_close(theirs, ours)
    trial, used = kernels.calls[:2], kernels.calls[2:]
    assert sorted(trial) == ["knn_points", "sample_farthest_points"]
    assert used == ["sample_farthest_points", *["knn_points"] * 5]


def test_a_build_without_cuda_is_tried_once_and_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain, kernels = results(), Kernels("Not compiled with GPU support\nat knn.cu:1")
    install(monkeypatch, kernels)
    with caplog.at_level("INFO"):
        for _ in range(2):
            for ours, theirs in zip(plain, results(), strict=True):
                assert torch.equal(theirs, ours)
    assert kernels.calls == ["knn_points"]
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "neighbours and farthest points on cpu: "
        "torch: pytorch3d does not work (Not compiled with GPU support)"
    ]


def test_a_package_that_is_not_there_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    assert part._choice("cpu")[0] is None
    assert "pytorch3d" in part._choice("cpu")[1]


def test_the_doctor_hears_what_is_used_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Kernels())
    on_cpu = part._choice("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(part, "_choice", lambda device: on_cpu)
    assert available_readers()["groups and Chamfer distances on CUDA"] == "pytorch3d 0.7.9"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no CUDA device" in available_readers()["groups and Chamfer distances on CUDA"]
