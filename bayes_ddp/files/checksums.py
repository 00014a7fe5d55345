"""SHA-256 checksums of files that a ``card.toml`` describes."""

import hashlib
import tomllib
from pathlib import Path

__all__ = ["check_sha256", "sha256_of"]


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
