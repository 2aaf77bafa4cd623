"""What pyproject.toml cannot say: the version, from git's tags, and the README with links that work anywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.version import Version
from setuptools import setup
from setuptools_scm import get_version

ROOT = Path(__file__).resolve().parent


def last_release() -> Version:
    """The newest release in the changelog."""
    found = re.search(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert found, "CHANGELOG.md has no release"
    return Version(found[1])


def next_release(before: Version) -> str:
    """The release that is worked on after another."""
    return f"{before.major}.{before.minor + 1}.0"


def scheme(found: Any) -> str:
    """The tag's version at a tag; between tags, and in a clone without any, a development version of the next one."""
    if found.exact:
        return str(found.tag)
    return f"{next_release(max(Version(str(found.tag)), last_release()))}.dev{found.distance or 0}"


def absolute(text: str, address: str, ref: str) -> str:
    """Markdown with links to files of the tree made links to ``address``, at the branch or tag ``ref``."""
    text = re.sub(r"(!\[[^\]]*\]\()(?!https?://|#)([^)]+)", rf"\1{address}/raw/{ref}/\2", text)
    return re.sub(r"(\]\()(?!https?://|#)([^)]+)", rf"\1{address}/blob/{ref}/\2", text)


def version_here() -> str:
    """The version by git; of an unpacked sdist the one that it states; of a bare copy that of the next release."""
    try:
        return str(get_version(str(ROOT), version_scheme=scheme))
    except LookupError:
        return f"{next_release(last_release())}.dev0"


if __name__ == "__main__":
    version = version_here()
    address = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"][
        "Source"
    ]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    setup(
        version=version,
        long_description=absolute(readme, address, "main" if ".dev" in version else f"v{version}"),
        long_description_content_type="text/markdown",
        options={"bdist_wheel": {"py_limited_api": "cp311"}},  # what is compiled fits every later Python
    )
