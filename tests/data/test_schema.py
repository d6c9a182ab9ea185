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
