"""The arrows between the packages, and the few other things that readers of the tree rely on."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_spec = importlib.util.spec_from_file_location("folders", ROOT / "docs" / "folders.py")
assert _spec is not None and _spec.loader is not None
folders = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(folders)
BELOW = {  # folder: the folders that its own files may import
    "memory/rules": set(),
    "memory/attention": {"memory/rules"},
    "memory": {"memory/attention", "memory/rules"},
    "agents/workers": {"memory", "memory/rules"},
    "agents/base": {"memory", "memory/rules"},
    "agents/checkpoint": {"agents/base", "agents/workers", "memory", "memory/rules"},
    "agents/core": {"agents/base", "agents/checkpoint", "agents/workers", "memory", "memory/rules"},
    "agents/export": {"agents/base", "agents/checkpoint", "agents/core", "memory", "memory/rules"},
    "agents/features": {"memory", "memory/rules"},
    "agents/pretrained": {"agents/export"},
    "agents/forgetting": {"agents/base", "agents/core", "agents/workers", "memory", "memory/rules"},
    "agents/sb3": {
        "agents/base",
        "agents/checkpoint",
        "agents/core",
        "agents/features",
        "agents/workers",
        "memory",
        "memory/rules",
    },
    "agents": {
        *(
            "agents/base",
            "agents/checkpoint",
            "agents/core",
            "agents/export",
            "agents/features",
            "agents/forgetting",
            "agents/pretrained",
            "agents/sb3",
            "agents/workers",
        ),
        "memory",
        "memory/rules",
    },
    "envs/base": set(),
    "envs/corridor": {"envs/base"},
    "envs/tmaze": {"envs/base"},
    "envs/portal": {"envs/base"},
    "envs/instruction": {"envs/base"},
    "envs/borrowed": {"envs/base"},
    "envs": {"envs/base", "envs/corridor", "envs/tmaze", "envs/portal", "envs/instruction", "envs/borrowed"},
}
FLOORS = (  # of experiments, lowest first: a folder imports only from floors below its own
    {"settings", "terminal"},
    {"recipes", "run_folder", "making"},
    {"tracking"},
    {"episodes"},
    {"evaluation"},
    {"pictures"},
    {"viewer"},
    {"training", "bench/peers"},
    {"sequence", "reproduce", "sweep", "bench", "demo", "export", "pretrained"},
    {"suite"},
    {"bench/workers"},
    {""},  # the command
)
for _i, _floor in enumerate(FLOORS):
    for _folder in _floor:
        _lower = {f"experiments/{folder}" for floor in FLOORS[:_i] for folder in floor}
        BELOW[f"experiments/{_folder}".rstrip("/")] = {
            "agents",
            "agents/checkpoint",
            "agents/export",
            "agents/forgetting",
            "agents/pretrained",
            "envs",
            "memory",
            "memory/rules",
            "memory/attention",
            *_lower,
        }
PACKAGES = ("memory", "agents", "envs", "experiments")
OUTSIDE = {  # package: the third-party modules that it may import; experiments may import any
    "memory": {"torch", "triton"},
    "agents": {
        "torch",
        "stable_baselines3",
        "gymnasium",
        "numpy",
        "safetensors",
        "onnxruntime",
        "onnxscript",
        "rl_zoo3",
    },
    "envs": {"numpy", "gymnasium", "minigrid", "PIL"},
}
ONE_FILE = {
    "onnxruntime": "agents/export/check.py",
    "onnxscript": "agents/export/operators.py",
    "triton": "memory/attention/triton_kernels.py",
    "wandb": "experiments/tracking/wandb_writer.py experiments/tracking/wandb_files.py",
    "optuna": "experiments/sweep/search.py",
    "ray": "experiments/sweep/ray_tune.py",
    "rl_zoo3": "agents/zoo.py",
    "submitit": "experiments/sweep/slurm.py",
    "bokeh": "experiments/viewer/figures.py",
    "playwright": "experiments/viewer/browser.py",
}
LONGEST, MOST_FILES = 300, 16
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FOLDERS = folders.folder_graph()
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


@pytest.mark.parametrize("folder", FOLDERS)
def test_arrows_between_folders_point_down(folder: str) -> None:
    assert FOLDERS[folder] <= BELOW[folder], f"{folder} imports {sorted(FOLDERS[folder] - BELOW[folder])}"


def test_arrows_name_folders_that_exist() -> None:
    assert BELOW.keys() == FOLDERS.keys()


@pytest.mark.parametrize("graph", [FOLDERS, folders.file_graph()], ids=["folders", "files"])
def test_nothing_goes_in_circles(graph: dict[str, set[str]]) -> None:
    assert folders.cycle(graph) == []
    assert folders.cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_the_picture_of_the_folders_is_true() -> None:
    assert folders.PICTURE.read_text(encoding="utf-8") == folders.svg(), "run `python docs/folders.py`"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_can_be_seen_at_a_glance(folder: str) -> None:
    files = [path for path in FILES if name(path.parent) == folder]
    assert len(files) <= MOST_FILES
    assert any(path.name == "__init__.py" and path.read_text().startswith('"""') for path in files)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_from_outside(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    for dotted in imports(path):
        top = dotted.split(".")[0]
        if top != "expirespan" and package in OUTSIDE:
            assert top in OUTSIDE[package] | sys.stdlib_module_names, f"{name(path)} imports {dotted}"


@pytest.mark.parametrize("path", FILES + TESTS, ids=name)
def test_no_package_is_imported_as_top_level(path: Path) -> None:
    """``import memory`` works in the root of the tree and would load every class a second time."""
    assert not {dotted.split(".")[0] for dotted in imports(path)} & set(PACKAGES)


@pytest.mark.parametrize("module", ONE_FILE)
def test_some_modules_are_imported_in_one_file(module: str) -> None:
    users = {name(path) for path in FILES if module in {dotted.split(".")[0] for dotted in imports(path)}}
    assert users == set(ONE_FILE[module].split())


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_have_docstrings(package: str) -> None:
    path = ROOT / package / "__init__.py"
    body = ast.parse(path.read_text()).body
    assigned = {ast.unparse(node.targets[0]): node.value for node in body if isinstance(node, ast.Assign)}
    assert "__all__" in assigned, f"{package}/__init__.py must list its public names in __all__"
    assert [public for public in ast.literal_eval(assigned["__all__"]) if not documented(path, public)] == []
