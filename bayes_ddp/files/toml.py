"""Dictionaries are written as TOML text; the standard library only reads TOML."""

from collections.abc import Mapping
from typing import Any

__all__ = ["to_toml"]


def to_toml(table: Mapping[str, Any], heading: str = "") -> str:
    """A dictionary of scalars, lists and dictionaries as TOML text.

    heading : name of the table; empty for the top level. Raises TypeError for a value that TOML
    cannot represent, such as None.
    """
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = [f"[{heading}]"] if heading and (plain or not inner) else []
    lines += [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    parts = ["\n".join(lines)] if lines else []
    for key, value in inner.items():
        name = f"{heading}.{_key(key)}" if heading else _key(key)
        parts.append(to_toml(value, name).rstrip("\n"))
    return "\n\n".join(parts) + "\n"


def _key(key: str) -> str:
    bare = key != "" and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
    return key if bare else _value(str(key))


def _value(value: Any) -> str:
    if hasattr(value, "tolist"):
        value = value.tolist()
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            text = repr(value)
            return text if any(c in text for c in ".en") else text + ".0"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return '"' + "".join(c if c >= " " else f"\\u{ord(c):04x}" for c in escaped) + '"'
        case list() | tuple():
            return "[" + ", ".join(_value(item) for item in value) + "]"
    raise TypeError(f"TOML cannot represent {value!r} of type {type(value).__name__}.")
