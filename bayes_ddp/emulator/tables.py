"""TOML out, atomically written files, and checksums, for the folders of ``models/``."""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayes_ddp.spectra.files import atomic_write

__all__ = ["check_sha256", "sha256_of", "to_toml", "write_atomic"]


def to_toml(table: Mapping[str, Any], heading: str = "") -> str:
    """A table of scalars, lists and further tables as TOML text.

    Raises TypeError for a value that TOML has no word for, None among them: leave such keys out.
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
    raise TypeError(f"TOML has no word for {value!r} of type {type(value).__name__}.")


def write_atomic(path: Path, data: bytes | str) -> None:
    """Put ``data`` at ``path`` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(path: Path) -> None:
    """Raise ValueError unless a file has the ``sha256`` that the ``card.toml`` beside it says."""
    card = path.parent / "card.toml"
    if not card.is_file():
        raise ValueError(f"{path.parent} has no card.toml, so {path.name} cannot be checked.")
    expected = tomllib.loads(card.read_text()).get("sha256")
    found = sha256_of(path)
    if found != expected:
        raise ValueError(
            f"{path} is not the file its card describes: sha256 {found[:12]}..., card.toml says "
            f"{str(expected)[:12]}.... Restore both from the same release, or train it again."
        )
