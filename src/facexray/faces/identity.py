"""Who is who: rules that lead from a file to the person it shows."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from facexray.errors import SettingsError

IdentityRule = Callable[[Path], str | None]
"""From a source to its identity; None where the rule does not know it."""


def identity_rule(rule: str | None) -> IdentityRule:
    """Turn the `identity` option of `prepare` into a function from a path to a person.

    Raises:
        SettingsError: The CSV file cannot be read or lacks a column, or the regular expression is wrong.
    """
    if rule is None:
        return lambda path: None
    if rule == "folder":
        return lambda path: path.absolute().parent.name or None
    if rule.lower().endswith(".csv"):
        people = _read_identities(Path(rule))
        return lambda path: people.get(str(path)) or people.get(path.name) or None
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise SettingsError(f"identity: {rule!r} is not a regular expression ({error})") from error
    if pattern.groups < 1:
        raise SettingsError(f'identity: {rule!r} has no group; put the person in parentheses, as in "_([0-9]+)_"')

    def match(path: Path) -> str | None:
        found = pattern.search(path.name)
        return found.group(1) if found else None

    return match


def _read_identities(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return {row["file"]: row["identity"] for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"identity: {path} cannot be read ({error})") from error
    except KeyError as error:
        raise SettingsError(f"identity: {path} needs a column {error}; its columns are file and identity") from error
