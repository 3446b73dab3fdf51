"""A model's chat template (Jinja2): messages -> the text its model was trained on, as `transformers` renders it.

A template comes with a stranger's model, so it renders without access to Python. It may use what transformers offers:
the tag {% generation %} around what the model writes, strftime_now (of one and the same day), raise_exception, and
`tools` and `documents`, of which there are none. One that refuses a system message, as Gemma's does, gets it at the
head of the user's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import jinja2
import jinja2.sandbox
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

Message = dict[str, str]
TemplateError = jinja2.TemplateError
TODAY = datetime(2024, 7, 26)  # of every prompt, whenever it is written: a run goes on to the same bits. Llama 3's own


class _Generation(Extension):
    """{% generation %} ... {% endgeneration %}: what the model writes, for those who mask the rest. Renders as is."""

    tags = {"generation"}  # noqa: RUF012 (the name and type that Jinja2 reads)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller: Any) -> str:
        return caller()


def render(template: str, messages: list[Message], specials: Mapping[str, str]) -> str:
    """The text of a conversation, up to where the answer begins.

    template: Jinja2 source. messages: dicts of role and content. specials: what the template may name, such as
    bos_token. Raises TemplateError.
    """
    given = {"add_generation_prompt": True, "tools": None, "documents": None, **specials}
    try:
        compiled = _compiled(template)
    except RecursionError as error:
        raise TemplateError(f"it nests too deeply ({error})") from error
    try:
        return _rendered(compiled, messages, given)
    except TemplateError:
        if [m["role"] for m in messages[:2]] != ["system", "user"]:
            raise
        asked = {"role": "user", "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
        return _rendered(compiled, [asked, *messages[2:]], given)


def _rendered(template: jinja2.Template, messages: list[Message], given: Mapping[str, Any]) -> str:
    try:
        return template.render(messages=messages, **given)
    except (TypeError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
        raise TemplateError(f"{type(error).__name__}: {error}") from error


@cache
def _compiled(template: str) -> jinja2.Template:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
    environment.filters["tojson"] = _json
    return environment.from_string(template)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return TODAY.strftime(form)


def _json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own would escape for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
