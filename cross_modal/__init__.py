"""One model for pictures, sound and text in several languages: from a table of raw files to one SavedModel.

The names below are loaded when they are first used, so that `cross-modal --help` need not wait for TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["decoders", "fusion", "lexicons", "losses", "metrics", "testing", "towers"],
    submod_attrs={
        "data": ["Dataset", "TableError", "batches", "ingest", "learn_features"],
        "encoding": ["cosines", "encode", "mine", "similarity"],
        "ensembles": ["join", "score_joined"],
        "evaluation": ["evaluate"],
        "exporting": ["export", "export_joined", "load"],
        "features": ["Audio", "Feature", "Image", "Label", "Language", "PretrainedText", "Text"],
        "galleries": ["build_gallery", "load_gallery", "search"],
        "probing": ["probe"],
        "questions": ["write_questions", "write_reading"],
        "recommending": ["fill_shelf", "recommendation_scores", "similar"],
        "samples": ["write_sample"],
        "serving": ["ask", "predict"],
        "studies": ["few_shot", "language_matrix"],
        "tasks": ["Alignment", "Autoencoding", "Classification", "Generation", "QuestionAnswering", "Task"],
        "training": ["fit"],
        "tuning": ["tune"],
        "word_vectors": ["WordVectors", "glove", "skip_gram"],
    },
)
