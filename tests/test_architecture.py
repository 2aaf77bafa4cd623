"""The arrows between the packages, and the few other things that readers of the tree rely on."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INSIDE = {  # package: the packages of this project that it may import
    "memory": {"memory"},
    "agents": {"agents", "memory"},
    "envs": {"envs"},
    "experiments": {"experiments", "agents", "memory", "envs"},
}
OUTSIDE = {  # package: the third-party modules that it may import; experiments may import any
    "memory": {"torch"},
    "agents": {"torch", "stable_baselines3", "gymnasium", "numpy", "safetensors"},
    "envs": {"numpy", "gymnasium", "minigrid", "PIL"},
}
ONE_FILE = {
    "wandb": "experiments/tracking.py",
    "bokeh": "experiments/viewer/figures.py",
    "playwright": "experiments/viewer/browser.py",
    "ray": "any",
}
LONGEST = 300
LONGER: dict[str, int] = {}  # file: lines it may have
FILES = sorted(path for package in INSIDE for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Absolute dotted names of all that a file imports, wherever in the file the import stands."""
    here = ["expirespan", *path.relative_to(ROOT).parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def documented(path: Path, public: str) -> bool:
    """Whether the definition of ``public`` that ``path`` holds or imports has a docstring."""
    body = ast.parse(path.read_text()).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == public:
            return bool(ast.get_docstring(node))
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == public for target in targets):
            return isinstance(after, ast.Expr) and isinstance(getattr(after.value, "value", None), str)
    for dotted in imports(path):
        package, _, module = dotted.rpartition(".")[0].partition(".")
        file = ROOT / (module.replace(".", "/") + ".py")
        file = file if file.is_file() else file.with_suffix("") / "__init__.py"
        if package == "expirespan" and dotted.endswith(f".{public}") and file.is_file():
            return documented(file, public)
    return False


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_follow_the_arrows(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    for dotted in imports(path):
        top, *rest = dotted.split(".")
        if top == "expirespan":
            assert set(rest[:1]) <= INSIDE[package], f"{name(path)} imports {dotted}"
        elif package in OUTSIDE:
            assert top in OUTSIDE[package] | sys.stdlib_module_names, f"{name(path)} imports {dotted}"


@pytest.mark.parametrize("path", FILES + TESTS, ids=name)
def test_no_package_is_imported_as_top_level(path: Path) -> None:
    """``import memory`` works in the root of the tree and would load every class a second time."""
    assert not {dotted.split(".")[0] for dotted in imports(path)} & INSIDE.keys()


@pytest.mark.parametrize("module", ONE_FILE)
def test_some_modules_are_imported_in_one_file(module: str) -> None:
    users = {name(path) for path in FILES if module in {dotted.split(".")[0] for dotted in imports(path)}}
    assert len(users) <= 1, f"{module} is imported in several files: {sorted(users)}"
    assert users <= {ONE_FILE[module]} or ONE_FILE[module] == "any", (
        f"{module} is imported in {sorted(users)}"
    )


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_are_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGER.get(name(path), LONGEST)
    assert name(path) not in LONGER or lines > LONGEST, "no longer an exception: take it off the list"


def test_exceptions_exist() -> None:
    assert set(LONGER) <= {name(path) for path in FILES}


@pytest.mark.parametrize("package", INSIDE)
def test_public_names_have_docstrings(package: str) -> None:
    path = ROOT / package / "__init__.py"
    body = ast.parse(path.read_text()).body
    assigned = {ast.unparse(node.targets[0]): node.value for node in body if isinstance(node, ast.Assign)}
    assert "__all__" in assigned, f"{package}/__init__.py must list its public names in __all__"
    assert [public for public in ast.literal_eval(assigned["__all__"]) if not documented(path, public)] == []
