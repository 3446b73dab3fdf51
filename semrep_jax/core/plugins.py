"""Things known by name: what ships with the package, and what a `plugins:` entry brings in from outside.

    SOURCES = Registry("source of tasks", "tasks.source", {"mined": "semrep_jax.tasks.mined:SOURCE"})
    SOURCES.add("my_tasks", source)        # what a plugin does when it is imported
    SOURCES["mined"]                       # imported now, by the first who asks for it

A config names its plugins, a module or a .py file each (`plugins: [my_tasks.py]`); they are imported before its
settings are resolved, so that settings may speak of what they add. Two things of one name are refused.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.paths import expanded

T = TypeVar("T")


class PluginError(SemRepError):
    """A plugin can't be imported, or a name is unknown or taken."""


class Registry(Generic[T]):
    """Things of one kind by name.

    what: the kind, for messages. setting: the key of the config that names one, for messages.
    shipped: name -> "module:attribute" of what comes with the package, imported when it is first asked for.
    """

    def __init__(self, what: str, setting: str, shipped: dict[str, str]):
        self.what, self.setting = what, setting
        self._shipped = shipped
        self._found: dict[str, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Add a thing. Raises PluginError where the name is taken."""
        if name in self:
            raise PluginError(f"there are two of the {self.what} {name!r}; give one of them another name")
        self._found[name] = thing
        return thing

    def __contains__(self, name: object) -> bool:
        return name in self._found or name in self._shipped

    def __iter__(self) -> Iterator[str]:
        yield from self._shipped
        yield from self.added

    @property
    def added(self) -> list[str]:
        """The names that were added from outside."""
        return [name for name in self._found if name not in self._shipped]

    def __getitem__(self, name: str) -> T:
        """The thing of this name. Raises PluginError that lists those there are."""
        if name not in self._found:
            if name not in self._shipped:
                raise PluginError(f"{self.setting}: there is no {self.what} {name!r}; there are {', '.join(self)}")
            module, _, attribute = self._shipped[name].partition(":")
            self._found[name] = getattr(importlib.import_module(module), attribute)
        return self._found[name]


_loaded: set[str] = set()


def load_plugins(names: list[str] | tuple[str, ...], beside: Path | None = None) -> None:
    """Import plugins, each once a process.

    names: modules by their dotted name, or paths of .py files. beside: the directory that relative paths are tried from
    after the current one (where the config lies). Raises PluginError.
    """
    for name in names:
        if name in _loaded:
            continue
        try:
            if name.endswith(".py") or "/" in name:
                _import_file(name, beside)
            else:
                importlib.import_module(name)
        except SemRepError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"plugins: {name} can't be imported ({type(error).__name__}: {error}); mend it"
            ) from error
        _loaded.add(name)


def _import_file(name: str, beside: Path | None) -> None:
    places = [expanded(name), *([beside / name] if beside is not None else [])]
    path = next((p.resolve() for p in places if p.is_file()), None)
    if path is None:
        raise PluginError(f"plugins: {name} does not exist, neither here nor beside the config")
    module_name = f"semrep_plugin_{path.stem}"
    if module_name in sys.modules:
        if sys.modules[module_name].__file__ != str(path):
            raise PluginError(f"plugins: {name} and {sys.modules[module_name].__file__} have one name; rename a file")
        return
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
