"""Keras layers that towers, fusions and heads are made of; `keras` and `keras.ops` only."""

from cross_modal.layers.embedding import LanguageEmbedding as LanguageEmbedding
from cross_modal.layers.embedding import PositionEmbedding as PositionEmbedding
from cross_modal.layers.pooling import AttentionPooling as AttentionPooling
from cross_modal.layers.similarity import LogitScale as LogitScale
from cross_modal.layers.views import FoldViews as FoldViews
from cross_modal.layers.views import UnfoldViews as UnfoldViews
