import json

import pytest

from facexray.runtime.card import read_card, write_card
from facexray.runtime.model import XrayModel


def generations(count):
    """Cards of a family: each went on from the one before, was averaged with it, and taught by the first."""
    card = first = {"commit": "generation 0", "settings": {"network": {"pretrained": None}}, "pretrained": None}
    for number in range(1, count):
        settings = {"network": {"pretrained": "runs/before"}}
        card = {"commit": f"generation {number}", "settings": settings, "pretrained": card, "teacher": first}
        card["averaged_with"] = [card["pretrained"], first]
    return card


def test_a_card_comes_back_as_it_was_and_names_every_ancestor_once_in_its_file():
    card = generations(8)
    text = write_card(card)
    assert read_card(text) == card
    assert [text.count(f'"generation {number}"') for number in range(8)] == [1] * 8
    assert json.dumps(card).count('"generation 0"') > 300, "written in their places they would double with each one"


def test_ancestors_that_are_equal_but_for_their_own_ancestors_stay_apart():
    first, second = ({"commit": "same", "pretrained": {"commit": older}} for older in "ab")
    card = {"commit": "c", "averaged_with": [first, second, first]}
    assert read_card(write_card(card)) == card


def test_a_card_without_ancestors_is_plain_json_in_any_script():
    card = {"photographs": "自己的照片", "pretrained": None}
    assert json.loads(write_card(card)) == card == read_card(write_card(card))
    assert "自己的照片" in write_card(card)


def test_a_card_whose_ancestors_were_written_in_their_places_is_read_as_well():
    card = generations(4)
    assert read_card(json.dumps(card)) == card


def test_the_default_model_tells_whom_it_came_from():
    card = XrayModel.load().card
    assert card["pretrained"]["settings"]["network"]["backbone"] == card["settings"]["network"]["backbone"]
    assert read_card(write_card(card)) == card


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '"card"',
        '{"pretrained": 0}',
        '{"pretrained": 1, "ancestors": [{}]}',
        '{"pretrained": 0, "ancestors": [{"pretrained": 0}]}',
        '{"pretrained": 0, "ancestors": [{"teacher": 1}, {"teacher": 0}]}',
        '{"ancestors": [7]}',
        '{"ancestors": 7}',
    ],
)
def test_what_is_no_card_is_refused_and_nothing_may_be_its_own_ancestor(text):
    with pytest.raises(ValueError, match=r"Expecting|object of JSON|ancestors are broken"):
        read_card(text)
