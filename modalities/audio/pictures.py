"""One sound as three spectrograms and two players."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int16
from torch import Tensor

from modalities.audio.logmel import MelScale, mel_of_hz
from modalities.audio.sound import pcm_of, player, sound_of
from omnimask.report.painting import easels
from omnimask.tokens.modality import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DECIBELS = 10 / math.log(10)
_TICKS_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)


def draw_sound(
    original: Float[Tensor, "t m"],
    rebuilt: Float[Tensor, "t m"],
    *,
    visible: Bool[Tensor, "t m"],
    recorded: Int16[Tensor, " s"] | None,
    scale: MelScale,
) -> Drawing:
    """Original, visible part and reconstruction of log-mel energies without padding; `recorded` is
    the sound that they are of, where it came along.
    """
    from matplotlib.figure import Figure

    original, rebuilt = original.cpu(), rebuilt.cpu()
    seen = original.masked_fill(~visible.cpu(), math.nan)

    figure = Figure(figsize=(9, 2.6), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    low, high = torch.quantile(original.flatten()[::7], torch.tensor([0.02, 0.998])).tolist()
    for axes, title, logmel in zip(
        panels,
        ("original", "visible", "reconstruction"),
        (original, seen, rebuilt),
        strict=True,
    ):
        _draw_panel(axes, logmel * _DECIBELS, scale, (low * _DECIBELS, high * _DECIBELS))
        axes.set_title(title, fontsize=10)
    _label_mels(panels[0], scale)
    figure.colorbar(panels[2].images[0], ax=panels[2], label="dB")
    return Drawing(figure=figure, html=_players(scale, recorded, original, rebuilt))


def paint_sound(
    logmel: Float[Tensor, "t m"], colors: Float[Tensor, "k gt gf 3"], titles: Sequence[str]
) -> "Figure":
    """Log-mel energies without padding, and the patches of them: time to the right, low sounds
    below.
    """
    figure, panels = easels(titles, aspect=0.8)
    pictures = (logmel.cpu().T.numpy(), *colors.transpose(1, 2).numpy())
    for (axes,), picture in zip(panels, pictures, strict=True):
        axes.imshow(picture, origin="lower", aspect="auto", interpolation="nearest", cmap="magma")
    panels[0][0].set_xlabel("time", fontsize=8)
    panels[0][0].set_ylabel("frequency", fontsize=8)
    return figure


def _draw_panel(
    axes: "Axes",
    decibels: Float[Tensor, "t m"],
    scale: MelScale,
    limits: tuple[float, float],
) -> None:
    from matplotlib import colormaps

    seconds = len(decibels) * scale.hop / scale.sample_rate_hz
    axes.imshow(
        decibels.T.numpy(),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0.0, seconds, 0.0, float(scale.num_mels)),
        cmap=colormaps["magma"].with_extremes(bad="0.65"),
        vmin=limits[0],
        vmax=max(limits[1], limits[0] + 1.0),
    )
    axes.set_xlabel("time (s)")
    axes.tick_params(labelsize=8)


def _label_mels(axes: "Axes", scale: MelScale) -> None:
    """Frequencies in Hz at the heights of the bands that are centred on them."""
    low, high = mel_of_hz(scale.min_hz), mel_of_hz(scale.max_hz)
    band = (high - low) / (scale.num_mels + 1)
    ticks = [hz for hz in _TICKS_HZ if scale.min_hz < hz <= scale.max_hz]
    axes.set_yticks([(mel_of_hz(hz) - low) / band - 0.5 for hz in ticks])
    axes.set_yticklabels([f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}" for hz in ticks])
    axes.set_ylim(0, scale.num_mels)
    axes.set_ylabel("frequency (Hz, mel scale)")


def _players(
    scale: MelScale,
    recorded: Int16[Tensor, " s"] | None,
    original: Float[Tensor, "t m"],
    rebuilt: Float[Tensor, "t m"],
) -> str:
    """The recorded sound if it came along, else one made from its spectrogram, and the rebuilt."""
    if recorded is not None:
        skipped = scale.frame // 2  # so that both begin at the middle of the first frame
        length = (len(original) - 1) * scale.hop
        heard = recorded[skipped : skipped + length].cpu()
        first = player(heard, scale.sample_rate_hz, caption="original sound, as recorded")
    else:
        estimated = pcm_of(sound_of(original, scale))
        caption = "original spectrogram as sound; its phase is estimated"
        first = player(estimated, scale.sample_rate_hz, caption=caption)
    caption = "reconstruction (visible and predicted parts) as sound; its phase is estimated"
    second = player(pcm_of(sound_of(rebuilt, scale)), scale.sample_rate_hz, caption=caption)
    return f"<div>{first}{second}</div>"
