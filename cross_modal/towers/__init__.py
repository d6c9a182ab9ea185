"""Functions `(feature, dim, name, languages, ...) -> keras.Model` from one field to states and a mask."""

from cross_modal.towers.audio import crnn as crnn
from cross_modal.towers.image import cnn as cnn
from cross_modal.towers.text import lstm as lstm
from cross_modal.towers.tower import tower_inputs as tower_inputs
