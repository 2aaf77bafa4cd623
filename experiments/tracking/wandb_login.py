"""Whether W&B would find a key, as it looks for one itself, without asking for it or going to the network."""

from __future__ import annotations

import configparser
import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

HOST = "https://api.wandb.ai"
KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")


def logged_in() -> bool:
    """A key in the environment, or one in the netrc file for the host that W&B is set up with."""
    return any(os.environ.get(name) for name in KEYS) or _has_key(base_url())


def base_url() -> str:
    """The server: of the environment, of W&B's settings here or of the user, or W&B's own."""
    if given := os.environ.get("WANDB_BASE_URL"):
        return given
    folder = os.environ.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb"
    own = Path(os.environ.get("WANDB_DIR") or ".") / "wandb" / "settings"
    for path in (own, Path(folder) / "settings"):
        parser = configparser.ConfigParser()
        try:
            parser.read(path)
            found = parser.get("default", "base_url", fallback="")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        if found:
            return found
    return HOST


def _has_key(url: str) -> bool:
    parts = urlsplit(url)
    path = os.environ.get("NETRC") or next(
        (str(file) for name in (".netrc", "_netrc") if (file := Path.home() / name).is_file()), None
    )
    try:
        known = netrc.netrc(None if path is None else os.path.expanduser(path))
    except (OSError, netrc.NetrcParseError):
        return False
    found = [known.authenticators(name) for name in (parts.netloc, parts.hostname or "") if name]
    return any(entry is not None and entry[2] for entry in found)
