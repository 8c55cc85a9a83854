"""Plants slips of a programmer in a copy of the sources, each to be switched on alone when a program starts.

The slips stand in files beside this one, `slips/*.txt`, as small diffs:

    == confirm-too-much
    file: Replication/Replica+Passive.swift
    what: what a slip of a programmer it is, in words
    tests: InSyncTests
    - durable: durable)
    + durable: state.position.index)

`file` is below `Sources`. `tests` is a pattern of the unit tests that are to find it, after the simulator; all tests of
the module where it is missing. `after` is a text that comes before the place, where the text itself is there more than
once. `as: statement` says that whole statements are replaced; else it is an expression. `harmless` says why nothing can
find it; `quick` that the simulator needs very few seeds. White space does not count.

The sources stay what they are: nothing of this is in a build of the product, and a slip whose text is not in its file
any more is an error.
"""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLIPS = Path(__file__).resolve().parent / "slips"
VARIABLE = "TWINSPACE_MUTANT"
# What is not needed to find slips, and only takes time to be built.
LEFT_OUT = tuple(
    pattern for name in ("twinspace", "twinspace-proxy", "twinspace-server", "twinspace-bench")
    for pattern in (rf'\.executable\(name: "{name}", [^\n]*\),', rf'main\("{name}", [^\n]*\),')) + (
    r'room\("Client", [^\n]*\),', r'room\(\s*"Benchmark",\s*\[[^\]]*\]\),', r'tests\("PythonRegex"\),',
    r'tests\("Runtime", [^\n]*\),', r'tests\("Client"\),', r'tests\("Benchmark", [^\n]*\),',
    r'\.testTarget\(name: "TidyTests"[^\n]*\),', r'\.treatAllWarnings\(as: \.error\),')


class SlipError(Exception):
    """A slip that cannot be planted."""


@dataclass
class Slip:
    name: str
    fields: dict = field(default_factory=dict)
    old: str = ""
    new: str = ""

    @property
    def file(self):
        return self.fields["file"]

    @property
    def module(self):
        return self.file.split("/")[0]

    @property
    def tests(self):
        return self.fields.get("tests", self.module + r"Tests\.")

    @property
    def harmless(self):
        return self.fields.get("harmless", "")

    def span(self, text):
        """Where the text to be replaced is."""
        begin = 0
        if "after" in self.fields:
            begin = find(self.fields["after"], text, 0, self).end()
        return find(self.old, text, begin, self, is_first="after" in self.fields).span()

    def planted(self, number, old):
        if self.fields.get("as") == "statement":
            return f"if slips({number}) {{ {self.new} }} else {{ {old} }}"
        return f"(slips({number}) ? ({self.new}) : ({old}))"


def find(wanted, text, begin, slip, is_first=False):
    pattern = re.compile(r"\s+".join(re.escape(word) for word in wanted.split()))
    places = [place for place in pattern.finditer(text) if place.start() >= begin]
    if not places or (len(places) > 1 and not is_first):
        raise SlipError(f"{slip.name}: {len(places)} places in Sources/{slip.file} are '{' '.join(wanted.split())}'")
    return places[0]


def parse(text, source):
    slips = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("== "):
            slips.append(Slip(line[3:].strip()))
        elif line.startswith(("- ", "+ ")) and slips:
            side = "old" if line[0] == "-" else "new"
            setattr(slips[-1], side, getattr(slips[-1], side) + line[2:] + "\n")
        elif line == "+" or not line.strip() or line.startswith("#"):
            continue
        elif re.match(r"(file|what|tests|after|as|harmless|quick): ", line) and slips:
            key, value = line.split(": ", 1)
            slips[-1].fields[key] = value.strip()
        else:
            raise SlipError(f"{source}, line {number}: what is '{line}'?")
    return slips


def load():
    """All slips, in the order of their files."""
    slips = []
    for source in sorted(SLIPS.glob("*.txt")):
        slips += parse(source.read_text(encoding="utf-8"), source.name)
    names = [slip.name for slip in slips]
    for slip in slips:
        if names.count(slip.name) > 1:
            raise SlipError(f"{slip.name} is there twice")
        for key in ("file", "what"):
            if key not in slip.fields:
                raise SlipError(f"{slip.name} has no '{key}'")
        if not slip.old:
            raise SlipError(f"{slip.name} replaces nothing")
    return slips


def plant(text, begin, end, spans):
    """The text from `begin` to `end` with what is planted in it; an outer slip keeps the inner ones where it is off."""
    inside = sorted((span for span in spans if begin <= span[0] and span[1] <= end), key=lambda span: (span[0], -span[1]))
    parts = []
    at = begin
    for span in inside:
        if span[0] < at:
            if span[1] > at:
                raise SlipError(f"{spans[span][0][1].name} and another slip overlap")
            continue
        replaced = plant(text, *span, {inner: here for inner, here in spans.items() if inner != span})
        for number, slip in reversed(spans[span]):
            replaced = slip.planted(number, replaced)
        parts += [text[at:span[0]], replaced]
        at = span[1]
    return "".join(parts) + text[at:end]


def planted_files(slips, sources):
    """The text of each file that has slips, with all of them."""
    places = {}
    for number, slip in enumerate(slips):
        text = (sources / slip.file).read_text(encoding="utf-8")
        places.setdefault(slip.file, {}).setdefault(slip.span(text), []).append((number, slip))
    planted = {}
    for file, spans in places.items():
        text = (sources / file).read_text(encoding="utf-8")
        text = plant(text, 0, len(text), spans)
        if not re.search(r"^(public |package )?import TupleCore$", text, re.M) and not file.startswith("TupleCore/"):
            text = "import TupleCore\n" + text
        planted[file] = text
    return planted


def switch(slips):
    """The source of what tells whether a slip is switched on."""
    names = ", ".join(f'"{slip.name}"' for slip in slips)
    return f"""import Glibc

private let slipNames = [{names}]

/// The slip that is switched on; -1 for none.
public let plantedSlip: Int = {{
    guard let name = getenv("{VARIABLE}").map({{ String(cString: $0) }}), !name.isEmpty else {{ return -1 }}
    guard let number = slipNames.firstIndex(of: name) else {{ fatalError("there is no slip \\(name)") }}
    return number
}}()

public func slips(_ number: Int) -> Bool {{ plantedSlip == number }}
"""


def write(path, text):
    """Leaves a file alone that has this content: what is unchanged is not built again."""
    data = text if isinstance(text, bytes) else text.encode()
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def make_copy(slips, target):
    """Makes, or brings up to date, a copy of the package with all slips."""
    planted = planted_files(slips, ROOT / "Sources")
    planted["TupleCore/Slips.swift"] = switch(slips)
    package = (ROOT / "Package.swift").read_text(encoding="utf-8")
    for pattern in LEFT_OUT:
        package, count = re.subn(pattern, "", package)
        if count != 1:
            raise SlipError(f"Package.swift has {count} places like {pattern}")
    write(target / "Package.swift", package)
    wanted = {target / "Package.swift"}
    # Tests read the pages too.
    for folder in ("Sources", "Tests", "specs"):
        for source in sorted((ROOT / folder).rglob("*")):
            if not source.is_file() or "__pycache__" in source.parts:
                continue
            copy = target / source.relative_to(ROOT)
            wanted.add(copy)
            write(copy, planted.pop(str(source.relative_to(ROOT / folder)), None) or source.read_bytes()
                  if folder == "Sources" else source.read_bytes())
    for file, text in planted.items():
        write(target / "Sources" / file, text)
        wanted.add(target / "Sources" / file)
    for folder in ("Sources", "Tests"):
        for path in (target / folder).rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()
    for folder in (target / "Sources", target / "Tests"):
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                shutil.rmtree(path)
