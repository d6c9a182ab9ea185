"""Keras layers that towers, fusions and heads are made of; `keras` and `keras.ops` only."""

from cross_modal.layers.adapter import LanguageAdapter as LanguageAdapter
from cross_modal.layers.decoder import Decoder as Decoder
from cross_modal.layers.decoder import RecurrentDecoder as RecurrentDecoder
from cross_modal.layers.decoder import TransformerDecoder as TransformerDecoder
from cross_modal.layers.descriptors import Descriptors as Descriptors
from cross_modal.layers.embedding import LanguageEmbedding as LanguageEmbedding
from cross_modal.layers.embedding import PositionEmbedding as PositionEmbedding
from cross_modal.layers.latent import GaussianSample as GaussianSample
from cross_modal.layers.latent import HideSources as HideSources
from cross_modal.layers.normalization import PresentBatchNormalization as PresentBatchNormalization
from cross_modal.layers.normalization import normalized as normalized
from cross_modal.layers.pointing import ABSENT_LOGIT as ABSENT_LOGIT
from cross_modal.layers.pointing import SpanLogits as SpanLogits
from cross_modal.layers.pooling import AttentionPooling as AttentionPooling
from cross_modal.layers.recurrent import half_of as half_of
from cross_modal.layers.similarity import LogitScale as LogitScale
from cross_modal.layers.transformer import PositionEncoding as PositionEncoding
from cross_modal.layers.transformer import transformer_block as transformer_block
from cross_modal.layers.transformer import visible_steps as visible_steps
from cross_modal.layers.views import FoldViews as FoldViews
from cross_modal.layers.views import UnfoldViews as UnfoldViews
from cross_modal.layers.words import CoOccurrence as CoOccurrence
from cross_modal.layers.words import SkipGram as SkipGram
