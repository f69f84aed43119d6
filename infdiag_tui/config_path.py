"""Where a config is looked for and which models it names, known before anything heavy is imported."""

from __future__ import annotations

import tomllib
from pathlib import Path

import platformdirs

FILE_NAME = "infdiag.toml"


def search_path() -> tuple[Path, ...]:
    """Where a config is looked for, first match wins."""
    return (Path.cwd() / FILE_NAME, platformdirs.user_config_path("infdiag") / FILE_NAME)


def names_model(word: str, explicit: str | None) -> bool:
    """Whether the config names a model `word`; also True where that cannot be told, for then the config is at fault.

    Nothing is validated: that is done, with messages, when the session is put together.
    """
    path = Path(explicit).expanduser() if explicit else next((one for one in search_path() if one.is_file()), None)
    if path is None:
        return False
    try:
        models = tomllib.loads(path.read_text(encoding="utf-8")).get("models", {})
    except (OSError, ValueError):
        return True
    return not isinstance(models, dict) or word in models
