"""Checks a dashboard against Grafana's published schema: the types of the grafana-foundation-sdk, which Grafana generates
from the schemas of its own version (panels, their options by plugin, queries by data source).

The SDK reads JSON leniently; here unknown properties, missing ones, wrong types and unknown enum values are faults."""

import enum
import functools
import inspect
import re
import sys
import types
import typing

from grafana_foundation_sdk.cog import plugins, runtime, variants
from grafana_foundation_sdk.models import dashboard

plugins.register_default_plugins()


@functools.cache
def _properties(kind):
    """JSON name to (type, whether it may be missing) of each property of a class of the SDK."""
    code = inspect.getsource(kind.to_json)
    attributes = dict(re.findall(r'"([^"]+)"(?:: |\] = )self\.(\w+)', code))
    hints = typing.get_type_hints(kind, vars(sys.modules[kind.__module__]))
    known = {name: hints[attribute] for name, attribute in attributes.items()}
    return {name: (hint, type(None) in typing.get_args(hint)) for name, hint in known.items()}


def faults(value, kind=dashboard.Dashboard, where="", panel=None):
    """Everything in a JSON value that the type does not allow."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in (object, typing.Any):
        return
    if origin in (typing.Union, types.UnionType):
        candidates = [one for one in arguments if _may_be(value, one)]
        found = [list(faults(value, one, where, panel)) for one in candidates or arguments]
        if all(found):
            yield from min(found, key=len)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{where}: not a list"
            return
        for number, one in enumerate(value):
            yield from faults(one, arguments[0], f"{where}[{number}]", panel)
    elif origin is dict:
        for name, one in value.items():
            yield from faults(one, arguments[1], f"{where}.{name}", panel)
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{where}: {value!r} is none of {arguments}"
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        if value not in [one.value for one in kind]:
            yield f"{where}: {value!r} is no {kind.__name__}"
    elif kind is variants.Dataquery:
        source = value.get("datasource") or panel["datasource"]
        config = runtime.Runtime().dataquery_variants.get(source["type"])
        if config is None:
            yield f"{where}: unknown data source {source['type']}"
        else:
            yield from faults(value, config.from_json_hook.__self__, where, panel)
    elif hasattr(kind, "from_json"):
        yield from _object(value, kind, where, value if kind is dashboard.Panel else panel)
    elif kind is float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            yield f"{where}: {value!r} is no number"
    elif kind is int:
        if not isinstance(value, int) or isinstance(value, bool):
            yield f"{where}: {value!r} is no integer"
    elif kind is type(None):
        if value is not None:
            yield f"{where}: not null"
    elif not isinstance(value, kind):
        yield f"{where}: {value!r} is no {kind.__name__}"


def _may_be(value, kind):
    """Whether a value is meant to be of one of several types: not null, and of the `type` that the type insists on."""
    if kind is type(None):
        return value is None
    if not isinstance(value, dict) or not hasattr(kind, "from_json"):
        return True
    discriminator, _ = _properties(kind).get("type", (None, True))
    return typing.get_origin(discriminator) is not typing.Literal or value.get("type") in typing.get_args(discriminator)


def _object(value, kind, where, panel):
    if not isinstance(value, dict):
        yield f"{where}: not an object"
        return
    properties = _properties(kind)
    for name in value.keys() - properties.keys():
        yield f"{where}: {kind.__name__} has no {name!r}"
    for name, (hint, optional) in properties.items():
        if name not in value:
            if not optional:
                yield f"{where}: {kind.__name__} needs {name!r}"
            continue
        # Options and field settings belong to the panel's plugin.
        plugin = runtime.panelcfg_config(panel["type"]) if panel and name in ("options", "custom") else None
        if kind is dashboard.Panel and name == "options":
            if plugin is None:
                yield f"{where}: unknown type of panel {panel['type']!r}"
                continue
            hint = plugin.options_from_json_hook.__self__
        elif kind is dashboard.FieldConfig and name == "custom" and plugin and plugin.field_config_from_json_hook:
            hint = plugin.field_config_from_json_hook.__self__
        yield from faults(value[name], hint, f"{where}.{name}", panel)
