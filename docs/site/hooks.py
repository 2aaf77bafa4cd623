"""What mkdocs builds beside the pages in docs: sources, commands, cards, notebooks, viewer pages.

Each of the modules beside this one has ``PAGES``, the places of its pages, and ``make``, which makes them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import built
import cards
import commands
import notebooks
import sources
import viewers
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[2]
PACKAGES = ("memory", "agents", "envs", "experiments")
log = get_plugin_logger("expirespan")


def on_startup(command: str, dirty: bool) -> None:
    """The folder where mkdocstrings looks for the packages; it leaves out one that is not there when it begins."""
    (ROOT / "build" / "api").mkdir(parents=True, exist_ok=True)


def on_config(config: MkDocsConfig) -> None:
    """Anchors as GitHub has them, and the packages where mkdocstrings finds them."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    api = ROOT / "build" / "api" / "expirespan"
    shutil.rmtree(api, ignore_errors=True)
    for path in [file for name in ("expirespan", *PACKAGES) for file in (ROOT / name).rglob("*.py")]:
        place = api / path.relative_to(
            ROOT / "expirespan" if path.is_relative_to(ROOT / "expirespan") else ROOT
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, then the sources to which any page links."""
    for made in (commands.make(), cards.make(), viewers.make(), notebooks.make()):
        for place, content in made.items():
            files.append(File.generated(config, place, content=content))
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        place = sources.PROJECT[name]
        text = sources.on_site((ROOT / name).read_text(encoding="utf-8"), name, place)
        files.append(File.generated(config, place, content=text))
    texts = {
        f"docs/{file.src_uri}": file.content_string
        for file in files.documentation_pages()
        if not file.generated_by
    }
    texts |= {name: (ROOT / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CONTRIBUTING.md")}
    for place, text in sources.source_pages(texts).items():
        files.append(File.generated(config, place, content=text))
    for path in notebooks.NOTEBOOKS:
        files.append(File.generated(config, f"source/examples/notebooks/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of pages in docs lead to pages of the site; the cards have pages of their own."""
    place = page.file.src_uri
    if page.file.generated_by:
        return markdown
    markdown = sources.on_site(markdown, f"docs/{place}", place)
    if not re.search(r"^##+ ", markdown, re.M):
        page.meta.setdefault("hide", ["toc"])
    if place == "environments.md":
        markdown = cards.overview(markdown)
    return markdown.replace("<!-- viewer -->", viewers.frame("corridor", ""))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Sources are named as in the repository."""
    return html.replace("build/api/expirespan/", "")


def on_post_build(config: MkDocsConfig) -> None:
    """Every fault of the built pages is a warning, with which a strict build fails."""
    for fault in built.faults(Path(config.site_dir)):
        log.warning(fault)
    log.info(built.summary(Path(config.site_dir)))
