"""Functions that make what turns states back into a view, by the kind of the field."""

from cross_modal.decoders import audio as audio
from cross_modal.decoders import image as image
from cross_modal.decoders import text as text
