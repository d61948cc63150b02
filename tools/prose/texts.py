"""The prose of a file: a copy of its text in which all else is blank.

Lines and columns stay, so that what is found in the copy is found in the file. A mark is left where a comment that documents
something begins (`///`, `//!`, `#`). Code spans, link targets, addresses and placeholders become underscores.
"""

import functools
import re

TOKENS = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?\*/)'
    r'|(?P<string>(?<!\w)[bc]?r(?P<hashes>#*)".*?"(?P=hashes)|(?:(?<!\w)[bc])?"(?:\\.|[^"\\])*")'
    r"|(?P<char>'(?:\\(?:u\{\w+\}|.)[^'\n]*|[^\\'\n])')",
    re.S,
)
NOT_PROSE = re.compile(r"(?P<tick>`+)(?!`)(?:[^`\n]|\n(?=[ ]*[^\s]))*(?P=tick)|(?<=\]\()[^)\s]*|\bhttps?://[^\s)>\"]+")


def blank(text):
    """Returns `text` with a space for each character other than line breaks."""
    return "\n".join(" " * len(line) for line in text.split("\n")) if "\n" in text else " " * len(text)


def masked(text):
    """Returns `text` with underscores for the inside of code spans, for link targets and for addresses."""
    return NOT_PROSE.sub(lambda m: re.sub(r"[^\s`]", "_", m[0]), text)


def without_fences(lines):
    """Returns `lines` with blank ones for fenced code."""
    kept, fence = [], False
    for line in lines:
        mark = line.strip().removeprefix("///").removeprefix("//!").strip().startswith("```")
        kept.append(blank(line) if mark or fence else line)
        fence = fence != mark
    return kept


@functools.cache
def rust(text):
    """Returns the layers of a Rust file."""
    return Rust(text)


class Rust:
    """A Rust file in three layers of the same shape: `code`, `comments` and `strings`."""

    def __init__(self, text):
        pieces, at = [], 0
        for token in TOKENS.finditer(text):
            pieces += [("code", text[at : token.start()]), (token.lastgroup, token[0])]
            at = token.end()
        pieces.append(("code", text[at:]))
        self.code, self.comments, self.strings = (
            "".join(piece if kind == layer else blank(piece) for kind, piece in pieces)
            for layer in ("code", "comment", "string")
        )

    def outside_tests(self, layer):
        """Returns `layer`, one of the three, without the items under `#[cfg(test)]`."""
        for start in [m.start() for m in re.finditer(r"#\[cfg\((?:all\()?test\b", self.code)]:
            opening = re.compile(r"[{;]").search(self.code, start)
            end, depth = opening.end(), int(opening[0] == "{")
            for brace in re.compile(r"[{}]").finditer(self.code, end):
                if not depth:
                    break
                end, depth = brace.end(), depth + (1 if brace[0] == "{" else -1)
            layer = layer[:start] + blank(layer[start:end]) + layer[end:]
        return layer

    def doc_starts(self):
        """Returns line numbers and texts of the first lines of doc comments."""
        found, before = [], ""
        for number, line in enumerate(self.comments.split("\n"), 1):
            mark = re.match(r"\s*(///(?!/)|//!|/\*[*!])", line)
            if mark and mark[1] != before:
                found.append((number, line.strip()))
            before = mark[1] if mark else ""
        return found

    def comment_prose(self):
        """Returns the comments; their marks stay only where a doc comment begins."""
        starts = {number for number, _ in self.doc_starts()}
        lines = [
            line if number in starts else re.sub(r"//[/!]?|/\*[*!]?", lambda m: blank(m[0]), line, count=1)
            for number, line in enumerate(self.comments.split("\n"), 1)
        ]
        return masked("\n".join(without_fences(lines)).replace("#", " "))

    def string_prose(self):
        """Returns the string literals outside tests, with their quotes; placeholders and escapes are masked."""
        text = re.sub(r"\\\n", " \n", self.outside_tests(self.strings))
        text = re.sub(r"\\[nrt]|#", lambda m: ";".ljust(len(m[0])), text)
        return masked(re.sub(r"\{[^{}\n]*\}", lambda m: "_" * len(m[0]), text))


def yaml_prose(text):
    """Returns the comments of a YAML file. `#key: value`, without a space, is a setting that is off and no prose."""
    lines, before = [], False
    for line in text.split("\n"):
        full = re.match(r"\s*#(?: |$)", line)
        trailing = re.match(r"(?:[^\"'#]|\"[^\"]*\"|'[^']*')*?\s# ", line)
        if full:
            lines.append(blank(line[: full.end()]) + line[full.end() :] if before else line)
        elif trailing:
            lines.append(blank(line[: trailing.end()]) + line[trailing.end() :])
        else:
            lines.append("")
        before = bool(full and line.strip() != "#")
    return masked("\n".join(lines))


def markdown_prose(text):
    """Returns a Markdown file without code, link targets and what is between `<!-- vale off -->` and `<!-- vale on -->`."""
    text = re.sub(r"<!-- vale off -->.*?(?:<!-- vale on -->|\Z)", lambda m: blank(m[0]), text, flags=re.S)
    text = re.sub(r"<!--.*?-->", lambda m: blank(m[0]), text, flags=re.S)
    lines, code, listed = [], True, False
    for line in without_fences(text.split("\n")):
        # Four spaces begin code after an empty line, but continue an item of a list.
        listed = bool(re.match(r"\s*(?:[-*+]|\d+\.) ", line)) or (listed and (not line.strip() or line.startswith(" ")))
        code = not line.strip() or (code and line.startswith("    ") and not listed)
        lines.append(blank(line) if code else line.replace("#", " "))
    return masked("\n".join(lines))
