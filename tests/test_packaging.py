"""pyproject.toml, the changelog and the tree say the same."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


def test_the_version_is_in_the_changelog() -> None:
    version = re.escape(PROJECT["version"])
    assert re.search(
        rf"^## {version} \(\d{{4}}-\d\d-\d\d\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )


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
