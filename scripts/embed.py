#!/usr/bin/env python3
"""Makes a C file of the page's files, so that the program has them with it.

Usage: embed.py OUTPUT FILE…    the folder web/: index.html is /, the others are what they are named"""

import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml"}


def main():
    output, *files = map(pathlib.Path, sys.argv[1:])
    arrays, rows = [], []
    for number, file in enumerate(files):
        data = file.read_bytes()
        lines = [",".join(map(str, data[i:i + 40])) for i in range(0, len(data), 40)]
        arrays.append(f"static const unsigned char file_{number}[] = {{\n" + ",\n".join(lines) + "};\n")
        path = "/" if file.name == "index.html" else f"/{file.name}"
        rows.append(f'    {{"{path}", "{TYPES[file.suffix]}", file_{number}, sizeof file_{number}}},\n')
    output.write_text('/* Made of web/ by scripts/embed.py. */\n#include "admin/page.h"\n\n#include <string.h>\n\n' + "\n".join(arrays) +
                      "\nstatic const struct page_file files[] = {\n" + "".join(rows) + "};\n\n"
                      "const struct page_file *page_find(const char *path)\n{\n\tfor (size_t i = 0; i < sizeof files / sizeof *files; i++)\n"
                      "\t\tif (strcmp(files[i].path, path) == 0)\n\t\t\treturn &files[i];\n\treturn NULL;\n}\n")


main()
