#!/usr/bin/python3
"""House rules that a program can check. One line per rule: `ok NAME`, or `not ok NAME: how many`
after one line per place, as FILE:LINE: what. `--list` prints the names.

include_graph    lib/ folders include only themselves and what stands above them in lib/meson.build,
                 as the folder's own meson.build declares; lib/ never includes src/
lib_includes     no I/O, clocks, threads, sockets or DPDK in lib/
function_length  70 lines at most
file_length      500 lines is the aim, 800 fails
forbidden_calls  unbounded string functions, alloca
forbidden_words  notes about work left to do, instead of the work
test_seams       no mocks: no --wrap, no #include of a .c file under test/
tcp_lines        every numbered line of the protocol rules (TCP.md) in scope has a test named after it
own_header       a .c file with a header of its name includes it first, or the folder's private one
format           clang-format agrees
"""
import os
import re
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
LIB_FORBIDDEN = re.compile(
    r"^(rte_.*|sys/socket\.h|sys/time\.h|netinet/.*|poll\.h|sys/epoll\.h|pthread\.h|threads\.h|time\.h"
    r"|unistd\.h|openssl/ssl\.h|event2/.*|net/if\.h|linux/.*)$")
LIB_ALLOWED_IN = {"arpa/inet.h": {"lib/base/addr.c"}}
LIBCONFIG_FOLDER = "lib/cfg"
CALLS = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|alloca|strtok|atoi|system|popen)\s*\(")
WORDS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")


def sources(*folders, endings=(".c", ".h")):
    for folder in folders:
        for place, _, names in sorted(os.walk(os.path.join(ROOT, folder))):
            for name in sorted(names):
                if name.endswith(endings):
                    yield os.path.relpath(os.path.join(place, name), ROOT)


def lines(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read().split("\n")


def code_lines(path):
    """(number, line) without comments and string contents, roughly enough for calls."""
    for number, line in enumerate(lines(path), 1):
        line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
        yield number, re.sub(r"//.*", "", line)


def includes(path):
    for number, line in enumerate(lines(path), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(2), match.group(1) == '"'


def library_graph():
    """{folder: folders it may include}, from the meson files; the order is the law."""
    text = "\n".join(lines("lib/meson.build"))
    order = re.findall(r"'(\w+)'", text[text.index("["):text.index("]")])
    allowed, problems = {}, []
    for at, folder in enumerate(order):
        build = "\n".join(lines(f"lib/{folder}/meson.build"))
        direct = set(re.findall(r"\b(\w+)_dep\b", build)) & set(order) - {folder}
        for one in sorted(direct):
            if one not in order[:at]:
                problems.append(f"lib/{folder}/meson.build:1: depends on {one}, which stands below it")
        allowed[folder] = {folder} | direct
        for one in direct:
            allowed[folder] |= allowed.get(one, set())
    return allowed, problems


def include_graph():
    allowed, problems = library_graph()
    for path in sources("lib"):
        folder = path.split("/")[1]
        for number, name, quoted in includes(path):
            if not quoted:
                continue
            target = name.split("/")[0] if "/" in name else folder
            if folder not in allowed:
                problems.append(f"{path}:{number}: folder {folder} is not in lib/meson.build")
            elif target not in allowed[folder]:
                problems.append(f"{path}:{number}: {folder} may not include {name}")
    return problems


def lib_includes():
    problems = []
    for path in sources("lib"):
        for number, name, _ in includes(path):
            bad = LIB_FORBIDDEN.match(name) or \
                (name == "libconfig.h" and not path.startswith(LIBCONFIG_FOLDER)) or \
                (name in LIB_ALLOWED_IN and path not in LIB_ALLOWED_IN[name])
            if bad:
                problems.append(f"{path}:{number}: lib/ may not include {name}")
    return problems


def function_length():
    problems = []
    for path in sources("lib", "src", "test"):
        start = None
        for number, line in enumerate(lines(path), 1):
            if line == "{":
                start = number
            elif line.startswith("}") and start:
                if number - start - 1 > FUNCTION_LINES_MAX:
                    problems.append(f"{path}:{start}: a function of {number - start - 1} lines")
                start = None
    return problems


def file_length():
    problems = []
    for path in sources("lib", "src", "test", "scripts", endings=(".c", ".h", ".py")):
        count = len(lines(path))
        if count > FILE_LINES_MAX:
            problems.append(f"{path}:1: {count} lines")
    return problems


def forbidden_calls():
    problems = []
    for path in sources("lib", "src", "test"):
        for number, line in code_lines(path):
            match = CALLS.search(line)
            if match:
                problems.append(f"{path}:{number}: {match.group(1)}()")
    return problems


def forbidden_words():
    problems = []
    for path in sources("lib", "src", "test", "scripts", "conf",
                        endings=(".c", ".h", ".py", ".sh", ".build", ".cfg", ".md")):
        for number, line in enumerate(lines(path), 1):
            if WORDS.search(line):
                problems.append(f"{path}:{number}: {line.strip()[:60]}")
    return problems


def test_seams():
    problems = []
    for path in sources("test", endings=(".c", ".h", ".build")):
        for number, line in enumerate(lines(path), 1):
            if "--wrap" in line or re.match(r'\s*#\s*include\s+"[^"]+\.c"', line):
                problems.append(f"{path}:{number}: {line.strip()[:60]}")
    return problems


def tcp_lines():
    """The lines of two nodes (3.7, 5.4, section 7) and of reassembly come with their features; so do
    rows 13 and 15 of section 10's table: state behind its packet, a slow peer."""
    scope = {1: range(1, 13), 2: range(1, 14), 3: (1, 2, 3, 4, 5, 6, 8, 9), 4: range(0, 7),
             5: (1, 2, 3, 5), 6: range(1, 6), 10: set(range(1, 16)) - {13, 15}}
    named = set()
    for path in sources("test/unit", endings=(".c",)):
        for _, line in code_lines(path):
            for test in re.findall(r"cmocka_unit_test\((\w+)\)", line):
                named |= set(re.findall(r"t(\d+_\d+)(?!\d)", test))
    return [f"test/unit:1: no test is named t{section}_{line}" for section, of in scope.items()
            for line in of if f"{section}_{line}" not in named]


def own_header():
    problems = []
    for path in sources("lib", "src"):
        header = path[:-2] + ".h"
        if not path.endswith(".c") or not os.path.exists(os.path.join(ROOT, header)):
            continue
        first = next(iter(includes(path)), None)
        if first and os.path.basename(first[1]) != os.path.basename(header) and \
                not re.search(r"(internal|private)\.h$", first[1]):
            problems.append(f"{path}:{first[0]}: {os.path.basename(header)} does not come first")
    return problems


def format():
    files = list(sources("lib", "src", "test"))
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", "--ferror-limit=1", *files],
                          cwd=ROOT, text=True, capture_output=True)
    return sorted({re.sub(r": error: .*", ": not formatted", line)
                   for line in done.stderr.splitlines() if ": error:" in line})


RULES = (include_graph, lib_includes, function_length, file_length, forbidden_calls,
         forbidden_words, test_seams, tcp_lines, own_header, format)


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(rule.__name__ for rule in RULES))
        return 0
    failed = 0
    for rule in RULES:
        problems = rule()
        print("".join(f"{problem}\n" for problem in problems), end="")
        if problems:
            print(f"not ok {rule.__name__}: {len(problems)} places")
            failed += 1
        else:
            print(f"ok {rule.__name__}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
