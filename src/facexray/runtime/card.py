"""A model's card in the metadata of its files: what models it came from stands there once each, however often named."""

from __future__ import annotations

import json
from typing import Any

METADATA_KEY = "facexray"
"""Key of the card in a file's metadata."""
ANCESTRY = ("pretrained", "teacher", "averaged_with")
"""Where a card holds those of other models: what its weights began from, who taught them, whose mean they are."""


def write_card(card: dict[str, Any], indent: int | None = None) -> str:
    """The card as JSON; an ancestor's card becomes its number in the list `ancestors`, each after its own ancestors."""
    ancestors: list[dict[str, Any]] = []
    numbers: dict[str, int] = {}

    def number_of(ancestor: dict[str, Any]) -> int:
        kept = {**ancestor, **_each(ancestor, number_of)}
        number = numbers.setdefault(json.dumps(kept, sort_keys=True), len(ancestors))
        if number == len(ancestors):
            ancestors.append(kept)
        return number

    written = {**card, **_each(card, number_of)}
    whole = {**written, "ancestors": ancestors} if ancestors else written
    return json.dumps(whole, ensure_ascii=False, indent=indent)


def read_card(text: str) -> dict[str, Any]:
    """Read what `write_card` wrote, ancestors in their places again; so, too, where each was written in its place.

    Raises:
        ValueError: Not a card's JSON.
    """
    card = json.loads(text)
    if not isinstance(card, dict):
        raise ValueError("a card is an object of JSON")
    ancestors: list[dict[str, Any]] = []

    def ancestor(written: Any) -> Any:
        return ancestors[written] if isinstance(written, int) else written

    try:
        for own in card.pop("ancestors", []):
            ancestors.append({**own, **_each(own, ancestor)})
        return {**card, **_each(card, ancestor)}
    except (IndexError, TypeError) as error:
        raise ValueError(f"its ancestors are broken: {error}") from error


def _each(card: dict[str, Any], change: Any) -> dict[str, Any]:
    """The parts of a card that hold other cards, each of these changed."""
    held = {part: card[part] for part in ANCESTRY if card.get(part) is not None}
    return {part: [change(o) for o in own] if isinstance(own, list) else change(own) for part, own in held.items()}
