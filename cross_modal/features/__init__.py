"""Raw values to tensors, as TensorFlow graph code: the same objects in training and in the exported model."""

from cross_modal.features.audio import Audio as Audio
from cross_modal.features.cleaning import Cleaner as Cleaner
from cross_modal.features.descriptors import Descriptors as Descriptors
from cross_modal.features.descriptors import learn_descriptors as learn_descriptors
from cross_modal.features.descriptors import learn_patches as learn_patches
from cross_modal.features.descriptors import unpack_patches as unpack_patches
from cross_modal.features.feature import Feature as Feature
from cross_modal.features.feature import featurize_batch as featurize_batch
from cross_modal.features.feature import featurize_views as featurize_views
from cross_modal.features.image import Image as Image
from cross_modal.features.label import Label as Label
from cross_modal.features.label import Language as Language
from cross_modal.features.ngrams import NGrams as NGrams
from cross_modal.features.ngrams import learn_ngrams as learn_ngrams
from cross_modal.features.ngrams import mark_language as mark_language
from cross_modal.features.ngrams import weigh_ngrams as weigh_ngrams
from cross_modal.features.pretrained import PretrainedText as PretrainedText
from cross_modal.features.text import Text as Text
from cross_modal.features.text import extend_subwords as extend_subwords
from cross_modal.features.text import learn_subwords as learn_subwords
