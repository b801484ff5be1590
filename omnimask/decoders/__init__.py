"""Decoders: from the encoded tokens to one vector for each predicted token."""

from omnimask.decoders.class_token import ClassTokenDecoder
from omnimask.decoders.convolutional import ConvDecoder
from omnimask.decoders.cross_attention import CrossAttentionDecoder
from omnimask.decoders.decoder import Decoder, HasCodebook, OfOneModality, check_hidden
from omnimask.decoders.depth import DepthDecoder
from omnimask.decoders.direct import NoDecoder
from omnimask.decoders.early_context import EarlyContextDecoder
from omnimask.decoders.quantised import QuantisedDecoder
from omnimask.decoders.reading import BlockOutput, LayerFusion, Reading
from omnimask.decoders.replaced import ReplacedDecoder
from omnimask.decoders.self_attention import SelfAttentionDecoder
from omnimask.decoders.span import SpanDecoder
from omnimask.decoders.visible import VisibleDecoder
from omnimask.decoders.window import WindowDecoder

__all__ = [
    "BlockOutput",
    "ClassTokenDecoder",
    "ConvDecoder",
    "CrossAttentionDecoder",
    "Decoder",
    "DepthDecoder",
    "EarlyContextDecoder",
    "HasCodebook",
    "LayerFusion",
    "NoDecoder",
    "OfOneModality",
    "QuantisedDecoder",
    "Reading",
    "ReplacedDecoder",
    "SelfAttentionDecoder",
    "SpanDecoder",
    "VisibleDecoder",
    "WindowDecoder",
    "check_hidden",
]
