"""The command line: a table of contents, and one parser per command, built when it is called."""

from __future__ import annotations

import inspect
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.metadata import version
from io import TextIOWrapper
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from facexray.errors import FaceXrayError, SettingsError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


@dataclass(frozen=True)
class Command:
    """Where a command's function is, and how its line reads."""

    module: str
    summary: str
    positional: tuple[str, ...] = ()
    """Parameters that are given by place; a list takes one or more."""
    flat: str = ""
    """A parameter whose fields are options of the command itself, without its name before them."""
    presets: bool = False
    """Whether these can start from a preset of blending."""
    leading: tuple[str, ...] = ()
    """Options that may be given by place, before all others; even `config`, which a parser takes by name alone."""


COMMANDS = {
    "demo": Command("facexray.demonstration", "see it all work in a minute, with no files of yours"),
    "detect": Command("facexray.report.command", "judge photographs and videos: real, fake, cannot tell", ("files",)),
    "prepare": Command("facexray.faces.prepare", "photographs and videos → a face store", ("sources",)),
    "identify": Command("facexray.faces.embedding", "find out who is who in a face store, by likeness", ("store",)),
    "landmarks": Command("facexray.faces.aligned", "a face store → aligned crops + landmarks.json", ("store",)),
    "blend": Command(
        "facexray.blending.command",
        "a face store → blended images with X-rays (BI)",
        ("store",),
        "blending",
        presets=True,
    ),
    "validate": Command(
        "facexray.training.command", "try a training out before it takes days [train]", leading=("config", "store")
    ),
    "train": Command("facexray.training.command", "a face store → a trained network [train]"),
    "export": Command("facexray.training.command", "a trained network → one ONNX file [train]", ("runs",)),
    "push": Command("facexray.training.command", "an exported model → the Hugging Face hub [train]", ("model", "repo")),
    "evaluate": Command(
        "facexray.evaluation.command", "a model's AUC, AP, EER on labelled data", ("model", "data"), "settings"
    ),
    "compare": Command("facexray.evaluation.compare", "two evaluations: a difference, or chance?", ("a", "b")),
    "bench detect": Command("facexray.bench.detect", "how soon a verdict is there, beside the usual route"),
    "bench blend": Command("facexray.bench.blend", "how fast blended images are made here, beside the floor"),
    "bench train": Command("facexray.bench.train", "how fast training is here, beside plain PyTorch [train]"),
}
"""Every command, in the order in which a newcomer meets them."""

USAGE = """facexray {version}: sees where a face was blended into a photograph

usage: facexray COMMAND ...

{commands}

facexray COMMAND --help tells more. [train] needs: pip install 'facexray[train]'
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; its exit status: 0 done, 1 an error that is told, 2 a wrong call, 3 and 4 verdicts."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal can show every name
    if not words or words[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
        print(USAGE.format(version=version("facexray"), commands="\n".join(lines)), end="")
        return 0
    if words[0] == "--version":
        print(version("facexray"))
        return 0
    name, words = split_command(words)
    if name not in COMMANDS:
        print(f"facexray: {name!r} is no command; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.WARNING, format="facexray: %(message)s")
    warnings.simplefilter("ignore")
    from argparse import ArgumentError

    try:
        return _run(name, words)
    except ArgumentError as error:
        print(f"facexray {name}: {_told(error)}\nfacexray {name} --help lists the options", file=sys.stderr)
        return 2
    except FaceXrayError as error:
        print(f"facexray {name}: {_told(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has enough
        return 1
    except OSError as error:
        print(
            f"facexray {name}: {_told(error)}; check that the place exists, is yours to write, and has space",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(f"facexray {name}: stopped", file=sys.stderr)
        return 130


def _told(error: Exception) -> str:
    """An error's lines, without what a file's name could do to a terminal."""
    from facexray.images import printable

    return "\n".join(map(printable, str(error).split("\n")))


def split_command(words: Sequence[str]) -> tuple[str, list[str]]:
    """A command line as the command's name, of one word or two, and the rest, leading options by their names."""
    length = 2 if " ".join(words[:2]) in COMMANDS else 1
    name, rest = " ".join(words[:length]), list(words[length:])
    leading = COMMANDS[name].leading if name in COMMANDS else ()
    given = list(takewhile(lambda word: not word.startswith("-"), rest[: len(leading)]))
    named = [part for option, word in zip(leading, given, strict=False) for part in (f"--{option}", word)]
    return name, [*named, *rest[len(given) :]]


def _run(name: str, words: list[str]) -> int:
    command, function = COMMANDS[name], _function(name)
    parser = build_parser(name)
    words = [_with_underscores(word) for word in words]
    if command.presets:
        words = _with_preset(words)
    if command.leading:
        check_config_file(parser, words)
    values = vars(parser.instantiate(parser.parse_args(words)))
    values.pop("config", None)
    values.pop("preset", None)
    if command.flat:
        config = get_type_hints(function)[command.flat]
        values[command.flat] = config(**{field.name: values.pop(field.name) for field in fields(config)})
    result = function(**values)
    if name.startswith("bench ") or name == "compare":  # it has printed what it found
        return 0
    if name == "validate":
        return int(not result)
    if name == "detect":  # it has printed its own table, or its lines of JSON
        from facexray.report.command import exit_status

        return exit_status(result)
    if name in ("prepare", "identify"):
        print(result)
    elif name == "push":
        print(f"pushed: {result}")
    elif name != "train" and values["out"] is not None:  # train has told it; blend --verify writes nothing
        print(f"written: {values['out']}")
    return 0


def _with_preset(words: list[str]) -> list[str]:
    """The words with the file of `--preset NAME`, if it is there, before them: other options override it."""
    from facexray.blending.config import preset_path

    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option == "--preset" and (equals or words[place + 1 : place + 2]):
            return ["--config", str(preset_path(value if equals else words[place + 1])), *words]
    return words


def check_config_file(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Look for every fault of the file after `--config` at once, where parsing would stop at the first.

    Args:
        parser: Of a command, as `build_parser` makes it; its one required option is the store.
        words: Of the command line. A file that cannot be read is left to the parser.

    Raises:
        SettingsError: Lists them all.
    """
    import yaml

    try:
        path = words[words.index("--config") + 1]
        given = dict(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (ValueError, TypeError, IndexError, OSError, yaml.YAMLError):
        return
    faults: list[str] = []
    for key, value in given.items():
        sound: dict[str, Any] = {}
        for name, item in value.items() if isinstance(value, dict) else ():
            fault = _fault(parser, {key: {name: item}}, ranges=False)
            faults += fault
            sound |= {} if fault else {name: item}
        faults += _fault(parser, {key: sound if isinstance(value, dict) else value}, ranges=True)
    if faults:
        raise SettingsError(f"{path}: {len(faults)} to put right" + "".join(f"\n  ✗ {fault}" for fault in faults))


def _fault(parser: ArgumentParser, settings: dict[str, Any], ranges: bool) -> list[str]:
    """What the parser finds wrong with settings, if anything; their ranges are checked once a group is whole."""
    from argparse import ArgumentError

    try:
        parsed = parser.parse_object({"store": "store", **settings})
        if ranges:
            parser.instantiate(parsed)
    except (ArgumentError, SettingsError) as error:
        return [re.sub(r'^Parser key "(.+?)":', r"\1:", " ".join(str(error).split()))]
    return []


def _with_underscores(word: str) -> str:
    """`--min-face=64` as `--min_face=64`: options are the functions' parameters, however they are typed."""
    name, equals, value = word.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if name.startswith("--") else word


def build_parser(name: str) -> ArgumentParser:
    """The parser of a command, from its function's signature and docstring."""
    import docstring_parser
    from jsonargparse import ArgumentParser, set_parsing_settings

    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    command, function = COMMANDS[name], _function(name)
    text = docstring_parser.parse(inspect.getdoc(function) or "")
    parser = ArgumentParser(prog=f"facexray {name}", description=text.description, exit_on_error=False)
    if command.leading:
        parser.usage = f"facexray {name} {' '.join(command.leading).upper()} [options]"
    parser.add_argument("--config", action="config", help="YAML file of these options; later options override it")
    helps = {parameter.arg_name: parameter.description for parameter in text.params}
    for parameter in command.positional:
        kind = get_type_hints(function)[parameter]
        optional = inspect.signature(function).parameters[parameter].default is None
        many: dict[str, Any] = {"nargs": "+"} if get_origin(kind) is list else {"nargs": "?"} if optional else {}
        parser.add_argument(parameter, type=(get_args(kind) or (kind,))[0], help=helps.get(parameter), **many)
    flags = {name for name, parameter in inspect.signature(function).parameters.items() if parameter.default is False}
    for flag in sorted(flags):
        parser.add_argument(f"--{flag}", action="store_true", help=helps.get(flag))
    skip: set[str | int] = {*command.positional, *flags, command.flat}
    parser.add_function_arguments(function, skip=skip, as_group=False)
    if command.presets:
        parser.add_argument("--preset", help="start from these settings: default, paper, generator or sbi")
    if command.flat:
        parser.add_class_arguments(get_type_hints(function)[command.flat], as_group=False)
    return parser


def _function(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(import_module(COMMANDS[name].module), name.replace(" ", "_"))
    return function
