"""Functions `(feature, dim, name, languages, ...) -> keras.Model` from one field to states and a mask, by the kind of the field."""

from cross_modal.towers import audio as audio
from cross_modal.towers import image as image
from cross_modal.towers import text as text
from cross_modal.towers.tower import inputs_like as inputs_like
from cross_modal.towers.tower import tower_inputs as tower_inputs
