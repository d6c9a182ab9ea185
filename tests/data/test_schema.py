import dataclasses

import pytest

from cross_modal.data import Field, TableError, schema, view_name


@pytest.mark.parametrize(
    "column, parsed",
    [
        ("text", ("text", None)),
        ("text:en", ("text", "en")),
        ("text:zh-tw", ("text", "zh-TW")),
        ("a caption:TR", ("a caption", "tr")),
        ("text:en_US", ("text", "en-US")),
        ("audio:iw", ("audio", "he")),
        ("text:und", ("text", "und")),
    ],
)
def test_column_is_field_and_language(column, parsed):
    assert schema.parse_column(column) == parsed


@pytest.mark.parametrize("column", ["text:", ":en", "text:english", "text:e n", "text:en:de"])
def test_column_error_shows_the_column(column):
    with pytest.raises(TableError, match=f"Expected a column named field or field:language with a BCP 47 tag.*Received: '{column}'"):
        schema.parse_column(column)


@pytest.mark.parametrize("column", ["", "id:en", "group:de", "split:fr", "language:tr"])
def test_a_nameless_or_reserved_field_is_told(column):
    """With a language a reserved name would take the place of the item's own id or group."""
    with pytest.raises(TableError, match="Expected a column"):
        schema.parse_column(column)


@pytest.mark.parametrize("name", ["text", "Text_2", "target_language", "a" * 200])
def test_names_that_a_model_can_have(name):
    schema.check_names({name: Field(name, "text")})


@pytest.mark.parametrize("name", ["product title", "título", "Название", "review-text", "v1.2", "2nd", "_text", "a/b", "text\n", "item", "weigh", "oversample"])
def test_names_that_no_model_can_have_are_told(name):
    with pytest.raises(ValueError, match="letters a-z, digits and _, a letter first.*Received: .*Rename the column.*--set 'features=.image.'") as told:
        schema.check_names({name: Field(name, "text"), "image": Field("image", "image")})
    assert repr(name) in str(told.value)


def test_a_label_is_no_argument_and_what_stands_apart_is_nothing():
    schema.check_names({name: Field(name, "label") for name in ("kind-of", "v1.2", "5star", "text_language")} | {"text": Field("text", "text")})
    schema.check_names({"на русском": Field("на русском", "text")}, apart=["на русском"])
    with pytest.raises(ValueError, match="Received: 'of what'"):
        schema.check_names({"of what": Field("of what", "label")})
    with pytest.raises(ValueError, match="no FIELD_language, FIELD_mask, FIELD_value beside FIELD. Received: 'text_language'"):
        schema.check_names({name: Field(name, "text") for name in ("text", "text_language")})
    for name in ("image_mask", "image_value"):
        with pytest.raises(ValueError, match=f"Received: '{name}'. Rename"):
            schema.check_names({"image": Field("image", "image"), name: Field(name, "image")})
    schema.check_names({"image_mask": Field("image_mask", "image"), "text": Field("text", "text")})


def test_no_field_that_is_read_is_called_as_an_argument():
    fields = {name: Field(name, "text") for name in ("text", "seed")}
    schema.check_names(fields, ["seed"], ["seed"])
    schema.check_names({**fields, "seed": Field("seed", "label")}, (), ["seed"])
    with pytest.raises(ValueError, match="other than item, weigh, oversample, seed, and .* Received: 'seed'. Rename"):
        schema.check_names(fields, (), ["seed"])


def test_view_name():
    assert view_name("image") == view_name("image", "und") == "image"
    assert view_name("text", "zh-TW") == "text:zh-TW"


def test_fields_do_not_change():
    field = Field("text", "text", ("de", "en"))
    assert field == Field("text", "text", ("de", "en"), ())
    with pytest.raises(dataclasses.FrozenInstanceError):
        field.kind = "label"


def test_table_error_is_a_value_error():
    assert issubclass(TableError, ValueError)
