"""The API's description as one page of HTML, made of OpenAPI's: nothing on it comes from elsewhere, and nothing runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["STYLE_POLICY", "render_docs"]

STYLE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; }
details { border: 1px solid #8888; border-radius: .4rem; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem; }
pre { overflow-x: auto; background: #8882; padding: .6rem; border-radius: .3rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .25rem .6rem .25rem 0; text-align: left; vertical-align: top; }
.method { display: inline-block; min-width: 4.2rem; font-weight: 700; }
"""


def render_docs(description: Mapping[str, Any]) -> str:
    """Return the page.

    Parameters
    ----------
    description : mapping
        As OpenAPI has it.
    """
    title = escape(description["info"]["title"])
    tags: dict[str, list[str]] = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            name = operation.get("tags", ["others"])[0]
            tags.setdefault(name, []).append("".join(_operation(path, method, operation, description)))
    sections = "".join(
        f"<section><h2>{escape(name)}</h2>{''.join(parts)}</section>" for name, parts in tags.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body><main>'
        f"<h1>{title} {escape(description['info']['version'])}</h1>{_text(description['info'].get('description', ''))}"
        f'<p>For programs: <a href="/spec">OpenAPI</a>.</p>{sections}</main></body></html>'
    )


def _operation(
    path: str, method: str, operation: Mapping[str, Any], description: Mapping[str, Any]
) -> Iterator[str]:
    summary = escape(operation.get("summary", ""))
    yield (
        f'<details><summary><code><span class="method">{method.upper()}</span>{escape(path)}</code> {summary}</summary>'
    )
    yield _text(operation.get("description", ""))
    if operation.get("security"):
        yield "<p>Needs a bearer token.</p>"
    if rows := [_parameter(each) for each in operation.get("parameters", ())]:
        yield f"<h3>Parameters</h3><table><tr><th>name</th><th>in</th><th>what</th></tr>{''.join(rows)}</table>"
    if body := operation.get("requestBody"):
        for media, content in body["content"].items():
            yield f"<h3>Body</h3><p><code>{escape(media)}</code></p>{_example(content, description)}"
    yield "<h3>Answers</h3><table>"
    for status, answer in operation["responses"].items():
        shown = "".join(_example(content, description) for content in answer.get("content", {}).values())
        yield f"<tr><td><code>{escape(status)}</code></td><td>{escape(answer.get('description', ''))}{shown}</td></tr>"
    yield "</table></details>"


def _parameter(parameter: Mapping[str, Any]) -> str:
    needed = ", required" if parameter.get("required") else ""
    text = escape(parameter.get("description", "") or parameter.get("schema", {}).get("description", ""))
    return f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{parameter['in']}{needed}</td><td>{text}</td></tr>"


def _example(content: Mapping[str, Any], description: Mapping[str, Any]) -> str:
    """Return a body: its example if it has one, or what its schema says of one."""
    if "example" in content:
        shown = content["example"]
    elif content.get("examples"):
        shown = next(iter(content["examples"].values())).get("value")
    else:
        shown = _instance(content.get("schema", {}), description, depth=0)
    return "" if shown is None else f"<pre>{escape(json.dumps(shown, indent=2, ensure_ascii=False))}</pre>"


def _instance(schema: Mapping[str, Any], description: Mapping[str, Any], depth: int) -> Any:
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "example" in schema:
        return schema["example"]
    if schema.get("examples"):
        return schema["examples"][0]
    if depth > 4:
        return None
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            return _instance(schema[several][0], description, depth)
    if "properties" in schema:
        return {name: _instance(part, description, depth + 1) for name, part in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_instance(schema.get("items", {}), description, depth + 1)]
    return schema.get("const", schema.get("type"))


def _text(text: str) -> str:
    paragraphs = (part.strip() for part in text.split("\n\n"))
    return "".join(f"<p>{escape(part)}</p>" for part in paragraphs if part)
