"""How Sphinx builds the site: `make docs`. Markdown, the API from docstrings, examples that are run."""

from __future__ import annotations

import sys
from enum import EnumType
from pathlib import Path
from typing import TYPE_CHECKING

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent), str(DOCS.parent / "training"), str(DOCS.parent / "export")]

from docstrings import rst  # noqa: E402
from site_pages import copy_pages, site_links  # noqa: E402

import eegvlm_rt  # noqa: E402

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "eegvlm-rt"
author = "The eegvlm-rt authors"
project_copyright = author
version = release = eegvlm_rt.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["examples", "README.md"]
nitpicky = True

# What a folder's `__all__` names is public. A class lists its fields in its docstring.
autodoc_default_options = {"members": True}
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
autodoc_preserve_defaults = True
# Training and export need torch, 200 MB and more, which no page needs.
autodoc_mock_imports = [
    "accelerate",
    "bitsandbytes",
    "onnx",
    "onnxscript",
    "peft",
    "safetensors",
    "torch",
    "transformers",
    "yaml",
]
napoleon_use_ivar = True
default_role = "code"  # docstrings write `name` as Markdown does

sphinx_gallery_conf = {
    "examples_dirs": ["examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": "plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "min_reported_time": 0,
    "write_computation_times": False,
    "show_memory": False,
    "image_scrapers": ("matplotlib",),
    "capture_repr": ("_repr_html_",),
    "ignore_pattern": "README",
}

# Markdown: every heading can be linked to by the name that a code forge gives it.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "pydata_sphinx_theme"
html_title = f"eegvlm-rt {release}"
html_static_path = ["_static"]
html_favicon = "_static/mark.svg"
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {
        "text": f"eegvlm-rt {release}",
        "image_light": "_static/mark.svg",
        "image_dark": "_static/mark.svg",
        "alt_text": "",
    },
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["not-medical"],
    "footer_end": ["copyright"],
    "secondary_sidebar_items": ["page-toc"],
}
templates_path = ["_templates"]


def _links_of_a_page(app: Sphinx, docname: str, content: list[str]) -> None:
    """A page of docs/ may link to files beside docs/; on the site these are pages or downloads."""
    page = Path(app.env.doc2path(docname))
    if page.suffix == ".md" and page.parent == DOCS:
        content[0] = site_links(content[0], f"docs/{page.name}")


def _docstring(_app: Sphinx, what: str, _name: str, obj: object, _options: object, lines: list[str]) -> None:
    lines[:] = rst(lines, is_value=what in ("attribute", "data", "property"))
    if isinstance(obj, EnumType):
        members = ", ".join(f"``{member.name}`` = ``{member.value!r}``" for member in obj)
        lines += [f"Members: {members}.", ""]


def _type_by_its_short_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: TextElement
) -> Element | None:
    """A type in a signature has the name of the module that defines it; it is shown where it is public.

    A type that this site does not describe, of numpy for example, stays plain text.
    """
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].rpartition(".")[2]
    python = env.domains["py"]
    homes = {
        entry
        for entry in python.objects
        if entry.rpartition(".")[2] == name and not python.objects[entry].aliased
    }
    if len(homes) != 1:
        return contnode if node["reftype"] in ("class", "obj") else None
    (home,) = homes
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", home, node, contnode)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    copy_pages(DOCS)
    app.connect("autodoc-process-docstring", _docstring, priority=400)  # before napoleon, whose place is 500
    app.connect("missing-reference", _type_by_its_short_name)
    app.connect("source-read", _links_of_a_page)
