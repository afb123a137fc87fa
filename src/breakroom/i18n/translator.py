"""Texts in the reader's language: the one object that presenters, the command line and the live view ask.

`translator("ko")` gives a `Translator`. It looks up English texts in the gettext catalogue, fills placeholders in,
and prints numbers and units as that language does. It reads the compiled catalogue once and touches nothing else.

A placeholder may say how its value is printed: `{gap:duration}` (seconds), `:ratio` (0 to 1), `:count`, `:rate`
(per second), `:factor` (a multiple), `:size` (bytes), `:list`, `:value:METRIC` (by the metric's kind),
`:plural:one|many` (prints one of the two words, for English), `:modelled`, `:delay`, `:goodput` (see `_SPECIAL`),
or any kind of label of `terms.LABELS` such as `:metric`, `:phase`, `:outcome`, `:state`. Without one, text stays and
numbers are printed plainly.
"""

from __future__ import annotations

import gettext as stdlib_gettext
import os.path
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from string import Formatter
from typing import Any, Literal, Protocol, cast

from breakroom.i18n import formats
from breakroom.i18n.josa import attach
from breakroom.i18n.messages import MESSAGES
from breakroom.i18n.platform_errors import PLATFORM_ERRORS
from breakroom.i18n.reasons import REASONS
from breakroom.i18n.terms import LABELS, METRIC_HELP, METRIC_KINDS

__all__ = ["LANGUAGES", "Language", "Sentence", "Translator", "detect_language", "translator"]

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")


class Sentence(Protocol):
    """What `Translator.reason` needs of a `Reason` or `Problem`: a code and what fills its sentence in."""

    @property
    def code(self) -> str:
        """A key of `REASONS`, `MESSAGES` or `PLATFORM_ERRORS`."""
        ...

    @property
    def params(self) -> Mapping[str, Any]:
        """Values for the sentence's placeholders."""
        ...


class Translator:
    """Words and numbers in one language."""

    def __init__(self, lang: Language, catalogue: stdlib_gettext.NullTranslations) -> None:
        self.lang = lang
        self._catalogue = catalogue
        self._formatter = _Formatter(self)

    def gettext(self, text: str) -> str:
        """`text` in this language; the English text itself where no translation exists."""
        return self._catalogue.gettext(text) if text else ""

    def ngettext(self, one: str, many: str, n: int) -> str:
        """`one` or `many`, as this language chooses for `n`."""
        return self._catalogue.ngettext(one, many, n)

    def say(self, template: str, /, **params: Any) -> str:
        """Translate an English text and fill its placeholders in.

        A placeholder without a value becomes a dash: a report must be shown even when a newer journal lacks a
        parameter.
        """
        return self._fill(self.gettext(template), params)

    def message(self, code: str, params: Mapping[str, Any] | None = None) -> str:
        """The text of a message or reason code; an unknown code is shown with its parameters, never dropped."""
        template = REASONS.get(code) or MESSAGES.get(code) or MESSAGES.get(f"{code.partition('.')[0]}.*")
        told = self.platform_error(code)
        if told:
            said = {**self._in_words(dict(params or {})), "told": told}
            return self.say("{told} In the platform's own words: {message}{hint:aside}", **said)
        if template is None:
            details = ", ".join(f"{name}={value}" for name, value in (params or {}).items())
            return f"{code} ({details})" if details else code
        return self.say(template, **self._with_units(self._in_words(dict(params or {}))))

    def platform_error(self, code: str) -> str:
        """What happened and the way out, for `platform.CODE`; empty in English: the platform's own words say it."""
        text = PLATFORM_ERRORS.get(code, "")
        return self.gettext(text) if text and self.lang != "en" else ""

    def reason(self, reason: Sentence) -> str:
        """The sentence of a `Reason` of the results, or of a `Problem` of the journal."""
        return self.message(reason.code, reason.params)

    def label(self, kind: str, key: str) -> str:
        """The label of `key` among the labels of `kind` (see `terms.LABELS`); `key` itself where it has none."""
        text = LABELS.get(kind, {}).get(key) or LABELS.get(kind, {}).get(key.replace("-", "_"))
        return self.gettext(text) if text else key

    def metric_label(self, name: str) -> str:
        """A metric's name for a table's row."""
        return self.label("metric", name)

    def metric_help(self, name: str) -> str:
        """What a metric is, in a sentence."""
        return self.gettext(METRIC_HELP.get(name, ""))

    def metric_value(self, name: str, value: float | None) -> str:
        """A metric's value, printed by its kind."""
        kind = METRIC_KINDS.get(name, "number")
        return self._formatter.print(value, kind)

    def text_of(self, texts: Mapping[str, str]) -> str:
        """The text in this language of one given by language code (titles of drills); any other where it is missing."""
        return texts.get(self.lang) or texts.get("en") or next(iter(texts.values()), "")

    def duration(self, seconds: float | None) -> str:
        """`5.62 s`, `5.62초`; a dash for None."""
        return formats.duration(seconds, self.lang)

    def ratio(self, value: float | None) -> str:
        """`99.95%`; a dash for None."""
        return formats.ratio(value)

    def count(self, value: float | None) -> str:
        """`12,345`; a dash for None."""
        return formats.count(value)

    def rate(self, per_second: float | None) -> str:
        """`812/s`, `812/초`; a dash for None."""
        return formats.rate(per_second, self.lang)

    def factor(self, value: float | None) -> str:
        """A multiple, such as 1.98 behind the sign of multiplication; a dash for None."""
        return formats.factor(value)

    def size(self, value: float | None) -> str:
        """`64.0 MiB`; a dash for None."""
        return formats.size(value)

    def listing(self, items: Iterable[object]) -> str:
        """`a, b and c`; in Korean `a, b, c`."""
        words = [str(item) for item in items]
        if self.lang == "en" and len(words) > 1:
            return f"{', '.join(words[:-1])} and {words[-1]}"
        return ", ".join(words)

    def _in_words(self, params: dict[str, Any]) -> dict[str, Any]:
        """Translate a message that is one of our own constants, behind a word of the drill file and a colon or alone.

        What a platform, a kernel or a program said is in no catalogue and stays as it was said.
        """
        message = params.get("message")
        if isinstance(message, str):
            word, colon, rest = message.partition(": ")
            known = self.gettext(message)
            if known == message and colon:
                known = word + colon + self.gettext(rest)
            params["message"] = known
        return params

    def _with_units(self, params: dict[str, Any]) -> dict[str, Any]:
        """Print what was measured in its metric's unit, where the parameters name the metric or a condition on it."""
        metric = params.get("metric")
        text = params.get("text")
        if metric is None and isinstance(text, str):
            metric = next((name for name in METRIC_KINDS if f".{name} " in text), None)
        if metric in METRIC_KINDS:
            for name in ("value", "resolution"):
                if isinstance(params.get(name), int | float):
                    params[name] = self.metric_value(str(metric), params[name])
        return params

    def _fill(self, template: str, params: Mapping[str, Any]) -> str:
        text = self._formatter.vformat(template, (), params)
        return attach(text) if self.lang == "ko" else text


class _Formatter(Formatter):
    """`str.format` with our kinds of value behind the colon; it never raises for a missing or strange value."""

    def __init__(self, owner: Translator) -> None:
        self._owner = owner

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        """A missing parameter is an unknown value."""
        return kwargs.get(key) if isinstance(key, str) else super().get_value(key, args, kwargs)

    def format_field(self, value: Any, format_spec: str) -> Any:
        """Print `value` by the kind named in `format_spec`."""
        return self.print(value, format_spec)

    def print(self, value: Any, kind: str) -> str:
        """Print one value; see the module's docstring for the kinds."""
        name, _, detail = kind.partition(":")
        if name == "plural":
            one, _, many = detail.partition("|")
            return one if value == 1 else many
        if name in _SPECIAL:
            return _SPECIAL[name](value, self._owner)
        if value is None or value == "":
            return formats.UNKNOWN
        if name == "list" or isinstance(value, (list, tuple, set)):
            items = value if isinstance(value, (list, tuple, set)) else [value]
            return self._owner.listing(self.print(item, detail) for item in items)
        if name in LABELS:
            return self._owner.label(name, str(value))
        if name == "value":
            return self._owner.metric_value(detail, value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return str(value)
        return self._number(value, name)

    def _number(self, value: float, kind: str) -> str:
        owner = self._owner
        printers = {
            "duration": owner.duration,
            "ratio": owner.ratio,
            "count": owner.count,
            "rate": owner.rate,
            "factor": owner.factor,
            "size": owner.size,
        }
        return printers.get(kind, formats.number)(value)


_SPECIAL: dict[str, Callable[[Any, Translator], str]] = {
    "modelled": lambda value, t: t.gettext(" (modelled)") if value else "",
    "delay": lambda value, t: t.gettext("a growing backoff") if value is None else t.duration(value),
    "goodput": lambda value, t: "" if value is None else t.say(" (goodput {gain:factor})", gain=value),
    "aside": lambda value, _t: f" ({value})" if value else "",
    "range_from": lambda value, t: t.say("{low:duration} to ", low=value) if value else "",
}
"""Placeholders that are words themselves. `:modelled` is a flag, `:delay` None a backoff; the others may be empty."""


@lru_cache(maxsize=len(LANGUAGES))
def translator(lang: Language) -> Translator:
    """The translator of `lang`; English needs no catalogue."""
    if lang == "en":
        return Translator(lang, stdlib_gettext.NullTranslations())
    # Neither importlib.resources nor pathlib: every command would wait 10 ms for them.
    path = os.path.join(os.path.dirname(__file__), "locale", lang, "LC_MESSAGES", "breakroom.mo")  # noqa: PTH118, PTH120
    with open(path, "rb") as file:  # noqa: PTH123
        return Translator(lang, stdlib_gettext.GNUTranslations(cast("Any", file)))


def detect_language(env: Mapping[str, str]) -> Language:
    """The reader's language from `LC_ALL`, `LC_MESSAGES` or `LANG`, in POSIX's order; English where none is ours."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = env.get(name, "")
        if value:
            return "ko" if value.lower().startswith("ko") else "en"
    return "en"
