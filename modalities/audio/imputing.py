"""`omnimask impute` on a sound."""

from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int16
from torch import Tensor

from modalities.audio.files import SOUND_SUFFIXES, AudioFiles, AudioSource
from modalities.audio.modality import AudioSpectrogram
from modalities.audio.readers.choice import BACKENDS, choose_backend
from modalities.audio.sound import pcm_of, sound_of
from omnimask.data.reading import read_sample
from omnimask.foundation.errors import DataError
from omnimask.report.pictures import figure_png
from omnimask.tokens.modality import Visit
from omnimask.tokens.tokens import Raw, integers_of, tensor_of
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.request import Hide, Imputation, Request
from omnimask.transfer.imputing.restore import Restored, random_hidden, restore_hidden
from omnimask.transfer.imputing.stream_files import files_of, one_file


class SoundImputer:
    """Writes a WAV of the window that the model sees, mono at its rate, and a picture of the
    spectrograms. Hidden by seconds or by a ratio of the spectrogram's patches.

    A log-mel spectrogram has no phase and cannot be inverted exactly: where something was hidden
    the sound is that of Griffin-Lim for the imputed spectrogram; all other samples stay exact.
    """

    suffixes = tuple(sorted(SOUND_SUFFIXES))

    def __call__(self, model: MaskedModel, name: str, request: Request, /) -> Imputation:
        modality = model.modalities[name]
        assert isinstance(modality, AudioSpectrogram), "asked only for those"
        hide = request.hidden("sound")
        hide.only("a sound", "seconds", "ratio")
        if request.out.suffix.lower() not in (".wav", ".png"):
            raise DataError(f"{request.out}: an imputed sound is a .wav (and a .png beside it)")
        raw, start_s = _read(model, name, modality, request, hide)
        lost = hidden_frames(modality, hide, start_s, raw)
        tokens = _hidden_tokens(modality, hide, lost, raw)
        restored = restore_hidden(model, name, raw, tokens)
        sound_path, picture_path = (request.out.with_suffix(s) for s in (".wav", ".png"))
        samples = _gone(modality, hide, start_s, raw, tokens)
        _write_wav(sound_path, _completed(modality, raw, restored, samples), modality)
        picture_path.write_bytes(_picture(modality, raw, restored))
        first, second = sound_path, picture_path
        files = (first, second) if request.out.suffix.lower() == ".wav" else (second, first)
        return Imputation(files=files, notes=(_about(modality, raw, start_s), *restored.notes))


def _read(
    model: MaskedModel, name: str, modality: AudioSpectrogram, request: Request, hide: Hide
) -> tuple[Raw, float]:
    """One window around the hidden seconds, else from the middle, and where it starts."""
    files = files_of(model.recipe, name, AudioFiles())
    suffix = request.path.suffix.lower()
    reader = choose_backend(files.backend, suffix)
    source = AudioSource(one_file(request.path), {suffix: reader}, files, modality)
    around_s = None if hide.seconds is None else sum(hide.seconds) / 2
    visit = Visit(key=0, augment=False, center_s=around_s)
    sample = read_sample(source, 0, visit)
    info = BACKENDS[reader].probe(request.path)
    length_s = len(sample["waveform"]) / modality.sample_rate_hz
    latest = max(info.num_samples / info.rate_hz - length_s, 0.0)
    start_s = min(max(source.center_s(0, visit) - info.offset_s - length_s / 2, 0.0), latest)
    return modality.collate([sample]), start_s


def hidden_frames(
    modality: AudioSpectrogram, hide: Hide, start_s: float, raw: Raw
) -> Bool[Tensor, " t"]:
    """The spectrogram's frames that any hidden sample is part of; none where it is by a ratio."""
    scale = modality.mel_scale
    frames = torch.arange(modality.window_frames)
    if hide.seconds is None:
        return torch.zeros(len(frames), dtype=torch.bool)
    first, last = _sample_range(modality, hide, start_s, raw)
    return (frames * scale.hop < last) & (frames * scale.hop + scale.frame > first)


def _sample_range(
    modality: AudioSpectrogram, hide: Hide, start_s: float, raw: Raw
) -> tuple[int, int]:
    assert hide.seconds is not None
    first, last = (round((s - start_s) * modality.sample_rate_hz) for s in hide.seconds)
    length = _length(modality, raw)
    first, last = max(first, 0), min(last, length)
    end_s = start_s + length / modality.sample_rate_hz
    if first >= last:
        raise DataError(
            f"no sample lies in {hide.seconds[0]:g}-{hide.seconds[1]:g} s; the sound that the "
            f"model sees is from {start_s:.2f} s to {end_s:.2f} s"
        )
    return first, last


def _length(modality: AudioSpectrogram, raw: Raw) -> int:
    return modality.mel_scale.num_samples(integers_of(raw, "num_frames")[0])


def _hidden_tokens(
    modality: AudioSpectrogram, hide: Hide, frames: Bool[Tensor, " t"], raw: Raw
) -> Bool[Tensor, " n"]:
    if hide.ratio is not None:
        valid = modality.split(raw).valid[0]
        return random_hidden(valid, ratio=hide.ratio, seed=hide.seed)
    in_time = frames.unflatten(0, (-1, modality.patch[0])).any(dim=1)
    return in_time[:, None].expand(-1, modality.grid["f"]).flatten()


def _gone(
    modality: AudioSpectrogram, hide: Hide, start_s: float, raw: Raw, tokens: Bool[Tensor, " n"]
) -> Bool[Tensor, " s"]:
    """The samples that are not kept: the hidden seconds, or all that a hidden patch hears."""
    length, scale = _length(modality, raw), modality.mel_scale
    gone = torch.zeros(length, dtype=torch.bool)
    if hide.seconds is not None:
        first, last = _sample_range(modality, hide, start_s, raw)
        gone[first:last] = True
        return gone
    in_time = tokens.unflatten(0, (-1, modality.grid["f"])).any(dim=1)
    for patch in torch.nonzero(in_time).flatten().tolist():
        first = patch * modality.patch[0] * scale.hop
        gone[first : first + (modality.patch[0] - 1) * scale.hop + scale.frame] = True
    return gone


def _completed(
    modality: AudioSpectrogram, raw: Raw, restored: Restored, gone: Bool[Tensor, " s"]
) -> Int16[Tensor, " s"]:
    original = tensor_of(raw, "waveform")[0, : len(gone)]
    sound = _synthesised(modality, raw, restored, len(gone))
    return torch.where(gone, pcm_of(sound), original)


def _synthesised(
    modality: AudioSpectrogram, raw: Raw, restored: Restored, length: int
) -> Float[Tensor, " s"]:
    """Griffin-Lim's sound; its first sample is the middle of the first frame."""
    joined = tensor_of(modality.join(restored.values[None].cpu(), raw), "logmel")
    num_frames = integers_of(raw, "num_frames")[0]
    sound = sound_of(joined[0, :num_frames], modality.mel_scale)
    before = modality.mel_scale.frame // 2
    return torch.nn.functional.pad(sound, (before, max(length - before - len(sound), 0)))[:length]


def _write_wav(path: Path, pcm: Int16[Tensor, " s"], modality: AudioSpectrogram) -> None:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(modality.sample_rate_hz)
        file.writeframes(pcm.numpy().astype("<i2").tobytes())


def _picture(modality: AudioSpectrogram, raw: Raw, restored: Restored) -> bytes:
    drawing = modality.draw(
        raw, visible=restored.visible[None].cpu(), filled=restored.values[None].cpu(), index=0
    )
    return figure_png(drawing)


def _about(modality: AudioSpectrogram, raw: Raw, start_s: float) -> str:
    end_s = start_s + _length(modality, raw) / modality.sample_rate_hz
    return (
        f"the sound from {start_s:.2f} s to {end_s:.2f} s, which is the window that the model "
        "sees, mono; a log-mel spectrogram cannot be inverted exactly: the hidden part is "
        "Griffin-Lim's estimate, the rest is kept sample by sample"
    )


IMPUTERS = {AudioSpectrogram: SoundImputer()}
