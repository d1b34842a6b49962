#!/usr/bin/env python3
"""Denies the includes and calls that the linker can't: the layers of src/ look down only.

  1. A folder includes itself and the folders before it in LAYERS, and writes "folder/file.h".
  2. MariaDB's client headers are included in src/sql only.
  3. PURE code does no I/O, logs nothing, starts no thread and asks neither clock nor chance: time and chance come in
     from outside. So the same code runs in the fuzzer, in the simulator and in the daemon.
  4. A header's guard is SYNCLINE_FOLDER_FILE_H: two equal guards would hide one header behind the other.

Usage: check_layers.py [ROOT]. Exit status 1 and a line file:line: reason for each finding. It tries itself on known bad
lines first, so that a check that finds nothing any more is noticed.
"""

import pathlib
import re
import sys

LAYERS = ["base", "binlog", "merge", "sql", "copy", "verify", "node", "admin", "link", "doctor", "cli"]
PURE = re.compile(r"(binlog|merge)/|sql/(hide|statement|requirements)\.[ch]$|doctor/(check(_\w+)?|facts|finding|show)\.[ch]$")
MARIADB_HEADER = re.compile(r"(mysql|mariadb)|(errmsg|mysqld_error|ma_\w+)\.h$")
IMPURE_HEADER = re.compile(
    r"(unistd|fcntl|poll|netdb|pthread|threads|signal|spawn|dirent|syslog|stdatomic|semaphore|aio)\.h$"
    r"|(sys|netinet|arpa|net|linux)/(?!(types|param)\.h)"
    r"|base/(log|clock|queue)\.h$"
)
IMPURE_CALL = re.compile(
    r"\b(f?printf|v?dprintf|vf?printf|f?puts|f?putc|putchar|perror|f?scanf|fopen|fdopen|freopen|fclose|fread|fwrite"
    r"|fgets|fgetc|getc|getchar|getline|fflush|fseek|tmpfile|popen|system|open|openat|close|read|write|pread|pwrite|lseek"
    r"|ioctl|socket|connect|accept|send|recv|sendmsg|recvmsg|poll|select|fork|exec[lv]p?e?|kill|raise|getenv|setenv|time"
    r"|clock|clock_gettime|gettimeofday|localtime(_r)?|sleep|usleep|nanosleep|rand|rand_r|random|srandom?|getrandom"
    r"|getentropy|drand48|pthread_\w+)\s*\("
)
STREAM = re.compile(r"\b(FILE|stdin|stdout|stderr|environ)\b")
INCLUDE = re.compile(r"^\s*#\s*include\s*(<[^>]*>|\"[^\"]*\")")
COMMENT_OR_LITERAL = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)


def blank(match):
    """A comment or literal, without its text but with its line breaks."""
    return " " + "\n" * match.group().count("\n")


def findings(path, text):
    """Yields (line number, reason) for the source file `path`, relative to src/."""
    folder = path.split("/")[0]
    if folder not in LAYERS or "/" not in path:
        yield 1, f"src/{path} is in none of the layers {', '.join(LAYERS)}"
        return
    rank = LAYERS.index(folder)
    is_pure = PURE.match(path) is not None

    without_comments = COMMENT_OR_LITERAL.sub(lambda m: m.group() if m.group()[0] in "\"'" else blank(m), text)
    for number, line in enumerate(without_comments.split("\n"), 1):
        include = INCLUDE.match(line)
        if include is None:
            continue
        name = include.group(1)[1:-1]
        if include.group(1)[0] == '"':
            to = name.split("/")[0]
            if to not in LAYERS or "/" not in name:
                yield number, f'"{name}": write "folder/file.h" with a folder of src/'
            elif LAYERS.index(to) > rank:
                yield number, f'"{name}": {folder} may not look up to {to}'
        if MARIADB_HEADER.match(name) and folder != "sql":
            yield number, f"{name}: only src/sql knows MariaDB's client library"
        if is_pure and (IMPURE_HEADER.match(name) or MARIADB_HEADER.match(name)):
            yield number, f"{name}: this code is pure, I/O, threads, time and chance come in from outside"

    if is_pure:
        for number, line in enumerate(COMMENT_OR_LITERAL.sub(blank, text).split("\n"), 1):
            if line.lstrip().startswith("#"):
                continue
            for match in list(IMPURE_CALL.finditer(line)) + list(STREAM.finditer(line)):
                before = line[: match.start()]
                if before.endswith((".", "->")):  # a member, not the C library's
                    continue
                name = match.group().rstrip("( ")
                yield number, f"{name}: this code is pure, no I/O, no threads, no clock, no chance"

    if path.endswith(".h"):
        guard = "SYNCLINE_" + re.sub(r"\W", "_", path).upper()
        if f"#ifndef {guard}\n#define {guard}\n" not in text:
            yield 1, f"the include guard must be {guard}"


def self_test():
    bad = [
        ("base/a.c", '#include "sql/apply.h"'),
        ("merge/a.c", '#include "sql/apply.h"'),
        ("sql/a.c", '\n #  include "node/settings.h"'),
        ("admin/a.c", '#include "link/supervisor.h"'),
        ("link/a.c", '#include "cli/demo.h"'),
        ("link/a.c", '#include "doctor/check.h"'),
        ("doctor/check_a.c", "t = time(NULL);"),
        ("sql/a.c", '#include "apply.h"'),
        ("link/a.c", "#include <mysql.h>"),
        ("node/a.c", "#include <mariadb/mysql.h>"),
        ("merge/a.c", "#include <mysql/mysql.h>"),
        ("node/a.c", "#include <mariadb_rpl.h>"),
        ("cli/a.c", "#include <mysqld_error.h>"),
        ("cli/a.c", "#include <errmsg.h>"),
        ("sql/statement.c", "#include <mysql.h>"),
        ("binlog/a.c", "#include <unistd.h>"),
        ("merge/a.c", "#include <sys/socket.h>"),
        ("merge/a.c", '#include "base/clock.h"'),
        ("merge/a.c", '#include "base/log.h"'),
        ("sql/statement.h", "#include <unistd.h>"),
        ("binlog/a.c", 'x = fopen("a", "r");'),
        ("binlog/a.c", 'printf("a");'),
        ("binlog/a.c", 'fprintf(to, "a");'),
        ("merge/a.c", "t = time(NULL);"),
        ("merge/a.c", "\n\nreturn rand();"),
        ("merge/a.c", "FILE *f;"),
        ("wrong/a.c", ""),
        ("base/a.h", "#ifndef A_H\n#define A_H\n#endif\n"),
    ]
    good = [
        ("merge/a.c", '#include "binlog/rows.h"\n#include "base/buf.h"\n#include "merge/window.h"\n#include <stdio.h>'),
        ("merge/a.c", 'snprintf(a, 3, "printf(");'),
        ("merge/a.c", "/* time(NULL) and\n#include <unistd.h> */ // FILE"),
        ("merge/a.c", "io->read(io); io.write(1); read_uint(c); commit_time(t);"),
        ("sql/a.c", "#include <mysql.h>\n#include <unistd.h>"),
        ("cli/a.c", '#include "base/log.h"\nprintf("a");'),
        ("base/a.h", "#ifndef SYNCLINE_BASE_A_H\n#define SYNCLINE_BASE_A_H\n#endif\n"),
    ]
    for path, text in bad:
        if not list(findings(path, text)):
            sys.exit(f"check_layers.py is broken: it accepts {text!r} in {path}")
    for path, text in good:
        found = list(findings(path, text))
        if found:
            sys.exit(f"check_layers.py is broken: it refuses {text!r} in {path}: {found}")


def main():
    self_test()
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    source = root / "src"
    files = sorted(source.rglob("*.[ch]"))
    if not files:
        sys.exit(f"check_layers.py: no C file under {source}")
    count = 0
    for file in files:
        for number, reason in findings(file.relative_to(source).as_posix(), file.read_text(encoding="utf-8")):
            print(f"{file}:{number}: {reason}")
            count += 1
    print(f"{len(files)} files, {count} findings")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
