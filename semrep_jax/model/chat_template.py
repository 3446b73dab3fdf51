"""A model's chat template (Jinja2): messages -> the text its model was trained on, as `transformers` renders it.

A template comes with a stranger's model, so it renders without access to Python.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

import jinja2
import jinja2.sandbox

Message = dict[str, str]
TemplateError = jinja2.TemplateError


def render(template: str, messages: list[Message], specials: Mapping[str, str]) -> str:
    """The text of a conversation, up to where the answer begins.

    template: Jinja2 source. messages: dicts of role and content. specials: what the template may name, such as
    bos_token. Raises TemplateError.
    """
    return _compiled(template).render(messages=messages, add_generation_prompt=True, **specials)


@cache
def _compiled(template: str) -> jinja2.Template:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _refuse
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    return environment.from_string(template)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
