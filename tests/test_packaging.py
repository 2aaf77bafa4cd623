"""pyproject.toml, the changelog and the tree say the same."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from expirespan.experiments import RECIPES

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
NOT_PACKAGES = {"tests", "docs", "examples", "build", "dist", "runs", "wandb"}
FOLDERS = {
    folder.relative_to(ROOT).as_posix(): folder
    for top in ROOT.iterdir()
    if top.is_dir() and top.name not in NOT_PACKAGES and not top.name.startswith(".")
    for folder in {file.parent for file in top.rglob("*.py")}
}


def setup_py() -> Any:
    """setup.py, without the build tools that it is for."""
    spec = importlib.util.spec_from_file_location("expirespan_setup", ROOT / "setup.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    missing = [name for name in ("setuptools", "setuptools_scm") if name not in sys.modules]
    for name in missing:
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__dict__.update(setup=None, get_version=None)
    try:
        spec.loader.exec_module(module)
    finally:
        for name in missing:
            del sys.modules[name]
    return module


SETUP = setup_py()
DEPENDENCIES = [
    *PROJECT["dependencies"],
    *(d for extra in PROJECT["optional-dependencies"].values() for d in extra),
]


def normal(distribution: str) -> str:
    match = re.match(r"[\w.-]+", distribution)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def package_of(folder: str) -> str:
    """``expirespan/`` is the package itself, all other folders lie within it."""
    return folder if folder == "expirespan" else "expirespan." + folder.replace("/", ".")


def test_packages_are_the_folders_with_python_files() -> None:
    setuptools = PYPROJECT["tool"]["setuptools"]
    names = {folder: package_of(folder) for folder in FOLDERS}
    assert sorted(setuptools["packages"]) == sorted(names.values())
    assert setuptools["package-dir"].items() <= {(package, folder) for folder, package in names.items()}


def test_every_top_level_package_is_typed() -> None:
    assert [name for name in FOLDERS if "/" not in name and not (ROOT / name / "py.typed").is_file()] == []


CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RELEASES = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", CHANGELOG, re.MULTILINE)


def test_the_changelog_is_one_of_keep_a_changelog() -> None:
    """Headings are of its kinds, what is not released comes first, and releases are in order."""
    assert re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)[0] == "[Unreleased]"
    assert len(RELEASES) == len(re.findall(r"^## ", CHANGELOG, re.MULTILINE)) - 1 >= 1
    assert sorted(map(Version, RELEASES), reverse=True) == list(map(Version, RELEASES))
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)) <= kinds


def test_the_version_follows_tags_and_the_changelog() -> None:
    tagged = SimpleNamespace(exact=True, tag=Version("3.1.4"), distance=0)
    between = SimpleNamespace(exact=False, tag=Version("3.1.4"), distance=7)
    tagless = SimpleNamespace(exact=False, tag=Version("0.0"), distance=1)  # a shallow clone, as CI makes it
    assert [SETUP.scheme(tagged), SETUP.scheme(between)] == ["3.1.4", "3.2.0.dev7"]
    assert Version(SETUP.scheme(tagless)) > Version(RELEASES[0])
    assert str(SETUP.last_release()) == RELEASES[0]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert f"## [{cited['version']}] - {cited['date-released']}\n" in CHANGELOG
    assert cited["version"] == RELEASES[0] and cited["license"] == PROJECT["license"]


def test_the_readme_has_no_relative_links_on_pypi() -> None:
    address = PROJECT["urls"]["Source"]
    text = "[a](docs/a.md#b) ![p](docs/p.png) [c](https://c.org) [d](#d) [![p](q.png)](r.md)"
    assert SETUP.absolute(text, "https://x.org", "v1") == (
        "[a](https://x.org/blob/v1/docs/a.md#b) ![p](https://x.org/raw/v1/docs/p.png) [c](https://c.org) [d](#d) "
        "[![p](https://x.org/raw/v1/q.png)](https://x.org/blob/v1/r.md)"
    )
    readme = SETUP.absolute((ROOT / "README.md").read_text(encoding="utf-8"), address, "main")
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(links) > 20 and all(link.startswith(("https://", "#")) for link in links)


def test_the_conda_recipe_asks_for_the_same() -> None:
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    names = {"matplotlib-base": "matplotlib", "pytorch": "torch"}
    asked = dict(line.partition(" ")[::2] for line in recipe["requirements"]["run"])
    assert asked.pop("python") == PROJECT["requires-python"]
    wanted = {normal(d): Requirement(d).specifier for d in PROJECT["dependencies"]}
    assert {normal(names.get(name, name)): SpecifierSet(bounds) for name, bounds in asked.items()} == wanted
    assert (
        recipe["context"]["version"] == RELEASES[0]
        and recipe["about"]["homepage"] == PROJECT["urls"]["Source"]
    )
    assert {line for line in recipe["requirements"]["host"] if "setuptools" in line} == {
        line.replace(">=", " >=") for line in PYPROJECT["build-system"]["requires"]
    }


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_dependencies_are_bounded(dependency: str) -> None:
    assert re.search(r"[<>=~]=?\s*\d", dependency)


def test_constraints_pin_every_dependency_within_its_bounds() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {normal(name): version for name, version in (line.split("==") for line in lines)}
    bounds = {normal(dependency): Requirement(dependency).specifier for dependency in DEPENDENCIES}
    assert pinned.keys() == bounds.keys()
    assert [name for name, version in pinned.items() if version not in bounds[name]] == []


def test_the_lowest_versions_are_the_bounds() -> None:
    """Those that .ci/run installs; PyTorch is the tested one."""
    out = subprocess.run(
        [sys.executable, ROOT / ".ci" / "lowest.py"], check=True, capture_output=True, text=True
    ).stdout
    found = {normal(name): version for name, version in (line.split("==") for line in out.split())}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        name = normal(requirement.name)
        assert name == "torch" or f">={found[name]}" in str(requirement.specifier).split(",")
        assert found[name] in requirement.specifier
    assert found.keys() == {normal(dependency) for dependency in PROJECT["dependencies"]}


@pytest.mark.parametrize("marker", ["demo command", "test command"])
def test_the_commands_of_the_readme_install_what_is_tested(marker: str) -> None:
    found = re.search(
        rf"<!-- {marker} -->\n(?:<!--.*-->\n)?```bash\n(.*)\n```", (ROOT / "README.md").read_text()
    )
    assert found and "pip install -q -c constraints.txt -e " in found[1]


def test_what_is_imported_is_declared() -> None:
    origin = packages_distributions()
    declared = {normal(dependency) for dependency in DEPENDENCIES}
    undeclared = set()
    for file in (file for folder in FOLDERS.values() for file in folder.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            tops = {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"expirespan"}
            undeclared |= {top for top in tops if not declared & {normal(d) for d in origin.get(top, [top])}}
    assert undeclared == set()


MADE = r"reference/(commands|environments)/|results/corridor\.md|project/(changelog|contributing)\.md"
"""Pages that only the site has; mkdocs checks links to them."""
MADE += "|tutorial/(" + "|".join(path.stem for path in ROOT.glob("examples/notebooks/*.ipynb")) + r")\.md"


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert [link for link in missing if not re.search(MADE, link)] == []


def test_the_demo_is_a_recipe() -> None:
    match = re.search(r"/expirespan train (\S+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert match and match[1] in RECIPES


@pytest.mark.parametrize("module", ["torch", "stable_baselines3", "wandb", "minigrid"])
def test_environments_are_cheap_to_import(module: str) -> None:
    code = f"import sys, expirespan.envs; sys.exit({module!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT.parent)
