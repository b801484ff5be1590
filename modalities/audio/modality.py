"""Log-mel spectrograms as patch tokens (AudioMAE, https://arxiv.org/abs/2207.06405, section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from modalities.audio.logmel import MelScale
from modalities.audio.pictures import draw_sound, paint_sound
from omnimask.data.measuring import measured_samples
from omnimask.data.ragged_time import frame_counts, ragged_tokens, stacked_in_time, zero_after
from omnimask.foundation.errors import DataError, RecipeError
from omnimask.network.grid_modality import (
    adapt_grid_position,
    continued_grid,
    grid_position,
    kept_mean_std,
    num_cells,
    patch_embedding,
)
from omnimask.network.resampling import Resampled, State, resample_linear
from omnimask.network.trained_axis import Axes, check_axes, extents
from omnimask.tokens.modality import Drawing, Modality, Sample, Source
from omnimask.tokens.tokens import Grid, Raw, Tokens, integers_of, tensor_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioSpectrogram:
    """Patches of a log-mel spectrogram; a token holds `patch[0]` frames of `patch[1]` mel bands.

    `window_s`: length of one sample, `window_s / hop_s` frames. `frame_s`, `hop_s`: length and
    distance of the Hann windows. `num_fft`: points of the transform, None for the power of two at
    or above a frame, which is 512 at 16 kHz as in AudioMAE (one of its 128 filters is then
    narrower than a bin and stays at the floor; 1024 has none such). `min_hz`, `max_hz`: lowest and
    highest filter edge, None for half the sample rate. `mean`, `std`: of the log-mel energies, None
    to measure them in `fit` (AudioMAE's code for AudioSet has -4.27 and, since it divides by twice
    the deviation, 9.14). `positions`: fixed sines and cosines, or one learned vector per axis or
    ("table") per cell. `axes`: set by `adapt`, where the patches stand on the grid of pretraining.

    A sample shorter than the window has only as many frames as whole patches fit into it; the rest
    of the grid is neither valid nor scorable, so that padding is never seen nor predicted.
    """

    name: str = "audio"
    sample_rate_hz: int = 16_000
    window_s: float = 10.24
    num_mels: int = 128
    frame_s: float = 0.025
    hop_s: float = 0.010
    num_fft: int | None = None
    patch: tuple[int, int] = (16, 16)
    min_hz: float = 20.0
    max_hz: float | None = None
    mean: float | None = None
    std: float | None = None
    positions: Literal["sincos", "learned", "table"] = "sincos"
    axes: Axes | None = None

    def __post_init__(self) -> None:
        scale, (frames, mels) = self.mel_scale, self.patch
        if min(scale.frame, scale.hop, frames, mels, self.num_mels) < 1:
            raise RecipeError(
                f"{self.name}: frame_s, hop_s, patch and num_mels must be positive, "
                f"got {self.frame_s}, {self.hop_s}, {self.patch} and {self.num_mels}"
            )
        if self.window_frames < frames or self.window_frames % frames:
            whole = max(self.window_frames // frames, 1) * frames
            raise RecipeError(
                f"{self.name}: window_s / hop_s must be a multiple of {frames} frames (patch[0]), "
                f"got {self.window_frames}; write window_s={whole * self.hop_s:g}"
            )
        if self.num_mels % mels:
            raise RecipeError(
                f"{self.name}: num_mels must be a multiple of {mels} (patch[1]), "
                f"got {self.num_mels}; write num_mels={max(self.num_mels // mels, 1) * mels}"
            )
        if not 0 <= scale.min_hz < scale.max_hz <= self.sample_rate_hz / 2:
            raise RecipeError(
                f"{self.name}: 0 <= min_hz < max_hz <= {self.sample_rate_hz / 2:g} (half of "
                f"sample_rate_hz) must hold, got {scale.min_hz:g} and {scale.max_hz:g}"
            )
        if scale.num_fft < scale.frame or scale.num_fft % 2:
            raise RecipeError(
                f"{self.name}: num_fft must be even and at least one frame ({scale.frame} "
                f"samples), got {scale.num_fft}; write num_fft=None"
            )
        check_axes(self.name, self.axes, self.grid)

    @property
    def mel_scale(self) -> MelScale:
        """The front end in samples; `num_samples` and `num_frames` convert lengths."""
        frame = round(self.frame_s * self.sample_rate_hz)
        return MelScale(
            sample_rate_hz=self.sample_rate_hz,
            frame=frame,
            hop=round(self.hop_s * self.sample_rate_hz),
            num_fft=1 << max(frame - 1, 1).bit_length() if self.num_fft is None else self.num_fft,
            num_mels=self.num_mels,
            min_hz=self.min_hz,
            max_hz=self.sample_rate_hz / 2 if self.max_hz is None else self.max_hz,
        )

    @property
    def window_frames(self) -> int:
        return round(self.window_s / self.hop_s)

    @property
    def grid(self) -> Grid:
        return {"t": self.window_frames // self.patch[0], "f": self.num_mels // self.patch[1]}

    @property
    def num_tokens(self) -> int:
        return num_cells(self.grid)

    @property
    def num_values(self) -> int:
        return self.patch[0] * self.patch[1]

    @property
    def extent(self) -> tuple[float, ...]:
        return extents(self.axes, self.grid)

    def fit(self, source: Source, /) -> "AudioSpectrogram":
        """With mean and deviation over the real frames of at most 256 samples, spread evenly.

        What `num_fft` and `max_hz` stand for when None is written out as well.
        """
        if self.mean is not None and self.std is not None:
            return self
        count, total, squares = 0, 0.0, 0.0
        for sample in measured_samples(source):
            logmel = sample["logmel"].double()
            count += logmel.numel()
            total += float(logmel.sum())
            squares += float(logmel.square().sum())
        mean = total / count
        std = max(squares / count - mean**2, 0.0) ** 0.5
        if std < 1e-3:
            raise DataError(
                f"{source.name(0)} and the other sounds fitted are constant (log-mel energy "
                f"{mean:.2f} everywhere); expected sound; set mean and std if this is meant"
            )
        return replace(
            self,
            num_fft=self.mel_scale.num_fft,
            max_hz=self.mel_scale.max_hz,
            mean=mean if self.mean is None else self.mean,
            std=std if self.std is None else self.std,
        )

    def collate(self, samples: Sequence[Sample], /) -> Raw:
        """`logmel` (b t m), zero beyond the real frames; `waveform` where every sample has one."""
        logmels = [sample["logmel"] for sample in samples]
        raw = {"logmel": stacked_in_time(logmels, self.window_frames), **frame_counts(logmels)}
        if all("waveform" in sample for sample in samples):
            waves = [sample["waveform"] for sample in samples]
            length = self.mel_scale.num_samples(self.window_frames)
            raw["waveform"] = stacked_in_time(waves, length)
        return raw

    def split(self, raw: Raw, /) -> Tokens:
        """Normalised patches in time-major order, coordinates (time, mel) counted in patches."""
        mean, std = self._statistics()
        logmel = tensor_of(raw, "logmel")
        values = rearrange(
            (logmel - mean) / std,
            "b (t p) (f q) -> b (t f) (p q)",
            p=self.patch[0],
            q=self.patch[1],
        )
        return ragged_tokens(
            values,
            grid=self.grid,
            real=tensor_of(raw, "real_frames") // self.patch[0],
            counts=[count // self.patch[0] for count in integers_of(raw, "num_frames")],
        )

    def join(self, values: Float[Tensor, "b n v"], raw: Raw, /) -> Raw:
        """`logmel` from token values, zero beyond the real frames; exact up to rounding.

        The waveform is not returned: its phase cannot be had from values.
        """
        mean, std = self._statistics()
        logmel = rearrange(
            values * std + mean,
            "b (t f) (p q) -> b (t p) (f q)",
            t=self.grid["t"],
            p=self.patch[0],
        )
        return {
            "logmel": zero_after(logmel, tensor_of(raw, "real_frames")),
            "num_frames": raw["num_frames"],
            "real_frames": raw["real_frames"],
        }

    def embed(self, dim: int, /) -> nn.Module:
        return patch_embedding(self.num_values, dim)

    def position(self, dim: int, /) -> nn.Module:
        return grid_position(self, dim)

    def continued_from(self, old: Modality, /) -> tuple["AudioSpectrogram", tuple[str, ...]]:
        """Time runs on in seconds; the mel bands together cover what they covered."""
        assert isinstance(old, AudioSpectrogram), "adapt compares the types"
        seconds = [each.patch[0] * each.hop_s for each in (old, self)]
        axes, lines = continued_grid(self, old, ratios=(seconds[1] / seconds[0], None))
        given, known = ((_one(each.mean), _one(each.std)) for each in (self, old))
        mean, std, kept = kept_mean_std(self.name, given, known, num_channels=1)
        continued = replace(self, axes=axes, mean=mean and mean[0], std=std and std[0])
        return continued, (*lines, *kept, *self._new_front_end(old))

    def adapt_embedding(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, AudioSpectrogram), "adapt compares the types"
        return resample_linear(self.name, state, old=(*old.patch, 1), new=(*self.patch, 1))

    def adapt_position(self, old: Modality, state: State, fresh: State, /) -> Resampled:
        assert isinstance(old, AudioSpectrogram), "adapt compares the types"
        return adapt_grid_position(self, old, state)

    def _new_front_end(self, old: "AudioSpectrogram") -> tuple[str, ...]:
        bands = [(each.mel_scale.min_hz, each.mel_scale.max_hz) for each in (old, self)]
        if bands[0] == bands[1]:
            return ()
        was, becomes = (f"{low:g} to {high:g} Hz" for low, high in bands)
        return (f"{self.name}: mel bands cover {becomes}, in pretraining {was}; nothing is moved",)

    def draw(
        self,
        raw: Raw,
        *,
        visible: Bool[Tensor, "b n"],
        filled: Float[Tensor, "b n v"],
        index: int,
    ) -> Drawing:
        """Three spectrograms, and players for the original and the reconstructed sound."""
        num_frames = integers_of(raw, "num_frames")[index]
        # The statistics of `join` are fp32, whatever precision the prediction came in.
        rebuilt = tensor_of(self.join(filled.float(), raw), "logmel")[index, :num_frames]
        return draw_sound(
            tensor_of(raw, "logmel")[index, :num_frames],
            rebuilt,
            visible=repeat(
                visible[index],
                "(t f) -> (t p) (f q)",
                t=self.grid["t"],
                p=self.patch[0],
                q=self.patch[1],
            )[:num_frames],
            recorded=tensor_of(raw, "waveform")[index] if "waveform" in raw else None,
            scale=self.mel_scale,
        )

    def paint(
        self, raw: Raw, colors: Float[Tensor, "k n 3"], *, titles: Sequence[str], index: int
    ) -> "Figure":
        """The spectrogram, and its patches as squares."""
        frames = integers_of(raw, "num_frames")[index]
        cells = colors.unflatten(1, (self.grid["t"], self.grid["f"]))
        logmel = tensor_of(raw, "logmel")[index, :frames]
        return paint_sound(logmel, cells[:, : -(-frames // self.patch[0])], titles)

    def _statistics(self) -> tuple[float, float]:
        if self.mean is None or self.std is None:
            raise RecipeError(
                f"{self.name}: mean and std are not known; call fit(source) or set both"
            )
        return self.mean, self.std


def _one(number: float | None) -> tuple[float, ...] | None:
    return None if number is None else (number,)
