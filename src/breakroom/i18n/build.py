"""Keeps the catalogues in step with the source: extract, update, compile. For developers, needs Babel.

    python -m breakroom.i18n.build          # rewrite breakroom.po and breakroom.mo, list what has no translation

Reads the package's Python files and templates, and writes only under `i18n/locale`. The tests call `extract` and
`compiled` to see that nothing was forgotten. Output is deterministic: no dates, no line numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

__all__ = ["catalogue_path", "compiled", "extract", "main", "read", "untranslated"]

PACKAGE = Path(__file__).resolve().parents[1]
DOMAIN = "breakroom"
TARGETS = ("ko",)
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "N_": None,
    "_": None,
    "say": None,
    "gettext": None,
    "ngettext": (1, 2),
}


def catalogue_path(lang: str) -> Path:
    """Where the editable catalogue of `lang` lies; the compiled one stands beside it with the suffix `.mo`."""
    return PACKAGE / "i18n" / "locale" / lang / "LC_MESSAGES" / f"{DOMAIN}.po"


def extract() -> list[tuple[str | tuple[str, ...], str]]:
    """Every text of the source that wants a translation, with the file it stands in, sorted."""
    from babel.messages.extract import extract_from_file

    found: dict[str | tuple[str, ...], str] = {}
    for method, path in _sources():
        # Line numbers and comments are left out: they would make every commit touch the catalogue.
        for _line, message, _comments, _context in extract_from_file(method, path, keywords=KEYWORDS):
            key = tuple(message) if isinstance(message, (list, tuple)) else message
            if key:
                found.setdefault(key, path.relative_to(PACKAGE).as_posix())
    return sorted(
        found.items(), key=lambda item: (item[1], item[0] if isinstance(item[0], str) else item[0][0])
    )


def _sources() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] != "apps":
            yield "python", path
    for path in sorted((PACKAGE / "report" / "templates").glob("*.j2")):
        yield "jinja2.ext:babel_extract", path


def read(lang: str) -> Catalog:
    """The editable catalogue of `lang`."""
    from babel.messages.pofile import read_po

    with catalogue_path(lang).open("rb") as file:
        return read_po(file, locale=lang, domain=DOMAIN)


def updated(lang: str) -> Catalog:
    """The catalogue of `lang` with exactly the texts that the source has now, keeping their translations."""
    from babel.messages.catalog import Catalog

    old = read(lang) if catalogue_path(lang).exists() else None
    new = Catalog(locale=lang, domain=DOMAIN, project="breakroom", fuzzy=False)
    for key, where in extract():
        known = old.get(key if isinstance(key, str) else key[0]) if old is not None else None
        new.add(key, string=known.string if known is not None else None, locations=[(where, 0)])
    return new


def untranslated(catalogue: Catalog) -> list[str]:
    """The texts of a catalogue that have no translation or a doubtful one."""
    missing = []
    for message in catalogue:
        strings = message.string if isinstance(message.string, (list, tuple)) else (message.string,)
        if message.id and (message.fuzzy or not all(strings)):
            missing.append(message.id if isinstance(message.id, str) else message.id[0])
    return missing


HEADER = "Content-Type: text/plain; charset=utf-8\nLanguage: {lang}\nPlural-Forms: nplurals=1; plural=0;\n"


def compiled(catalogue: Catalog) -> bytes:
    """The catalogue in gettext's binary form (GNU gettext manual, "The Format of GNU MO Files").

    Not by Babel's writer, which puts the time and its own version into the file, so that it would never stay the
    same.
    """
    texts = {b"": HEADER.format(lang=catalogue.locale).encode()}
    for message in catalogue:
        if not message.id or not message.string:
            continue
        ids = (message.id,) if isinstance(message.id, str) else message.id
        strings = (message.string,) if isinstance(message.string, str) else message.string
        texts["\0".join(ids).encode()] = "\0".join(text or "" for text in strings).encode()
    keys = sorted(texts)
    start = 7 * 4 + 2 * 8 * len(keys)
    tables, data = [b"", b""], b""
    for number, blocks in enumerate((keys, [texts[key] for key in keys])):
        for block in blocks:
            tables[number] += struct.pack("<II", len(block), start + len(data))
            data += block + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(keys), 28, 28 + 8 * len(keys), 0, start)
    return head + tables[0] + tables[1] + data


def _po_text(catalogue: Catalog) -> str:
    lines = [
        "# Texts of breakroom. Extracted by `python -m breakroom.i18n.build`; translations are edited here by hand.",
        'msgid ""',
        'msgstr ""',
        *(f'"{line}\\n"' for line in HEADER.format(lang=catalogue.locale).splitlines()),
    ]
    for message in catalogue:
        if not message.id:
            continue
        lines += ["", *(f"#: {where}" for where, _ in message.locations)]
        if isinstance(message.id, str):
            lines += [f"msgid {_quoted(message.id)}", f"msgstr {_quoted(str(message.string or ''))}"]
        else:
            lines += [f"msgid {_quoted(message.id[0])}", f"msgid_plural {_quoted(message.id[1])}"]
            strings = message.string if isinstance(message.string, (list, tuple)) else (message.string,)
            lines += [f"msgstr[{i}] {_quoted(text or '')}" for i, text in enumerate(strings)]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def main() -> int:
    """Rewrite the catalogues; returns 1 while a translation is missing."""
    missing = 0
    for lang in TARGETS:
        path = catalogue_path(lang)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_po_text(updated(lang)), encoding="utf-8")
        catalogue = read(lang)
        path.with_suffix(".mo").write_bytes(compiled(catalogue))
        for text in untranslated(catalogue):
            missing += 1
            print(f"{lang}: no translation for {text!r}")
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
