import pytest

from cross_modal.routes import expand_routes, route_name

SOURCES, TARGETS = ["image", "text:de", "text:en", "audio:fr"], ["text:de", "text:en"]


def names(*patterns):
    return [route_name(route) for route in expand_routes(patterns, SOURCES, TARGETS)]


def test_patterns_name_routes():
    assert names("*->*") == ["image->text:de", "image->text:en", "text:de->text:en", "text:en->text:de", "audio:fr->text:de", "audio:fr->text:en"]
    assert names("text:*->text:*", "!text:de → text:en") == ["text:en->text:de"]
    assert names("image->*", "!image->text:de", "image->text:de") == ["image->text:en", "image->text:de"]
    assert names("image + text:en -> text:de") == ["image+text:en->text:de"]
    assert names("image+text:*->*") == ["image+text:de->text:en", "image+text:en->text:de"]


def test_from_itself_and_from_nothing_only_where_it_says_so():
    assert names("text:de->text:de") == ["text:de->text:de"]
    assert names("->text:*") == ["->text:de", "->text:en"]


@pytest.mark.parametrize("pattern", ["text:fr->text:de", "image->audio:fr", "text:de+text:en->text:de"])
def test_a_route_that_fits_nothing_is_told(pattern):
    with pytest.raises(ValueError, match="Expected a route from image, text:de, .* to text:de, text:en. Received: "):
        names(pattern)


@pytest.mark.parametrize("pattern", ["image", "image->"])
def test_what_is_no_route_is_told(pattern):
    with pytest.raises(ValueError, match="Expected a route written source->target"):
        names(pattern)
