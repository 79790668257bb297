"""Makes a C++ source of the report page: template, style and scripts as string literals.

embed.py OUTPUT page.html page.css charts.js script.js...

The page's own scripts and style are named in its content security policy by their SHA-256, so a
browser runs nothing else in it, whatever a run's strings contain.
"""
import base64
import hashlib
import sys

DELIMITER = "GOSSAMER_PAGE"
RUNTIME = ["@title@", "@header@", "@data@"]  # filled when a page is written, in this order


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def hash_of(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def main(output, page, style, charts, *scripts):
    style, charts, script = read(style), read(charts), "".join(read(path) for path in scripts)
    for name, text in (("the charts", charts), ("the script", script)):
        if "</script" in text.lower() or "<!--" in text:
            sys.exit(f"{name} would end its own element: it contains </script or <!--")
    filled = read(page)
    for mark, text in (("@style-hash@", hash_of(style)), ("@script-hashes@", hash_of(charts) + " " + hash_of(script))):
        filled = filled.replace(mark, text)
    parts, rest = [], filled
    for mark in RUNTIME:
        before, rest = rest.split(mark)
        parts.append(before)
    parts.append(rest)
    parts = [part.replace("@style@", style).replace("@charts@", charts).replace("@script@", script) for part in parts]
    with open(output, "w", encoding="utf-8") as out:
        out.write('#include "records/telemetry/report_assets.hpp"\n\nnamespace gossamer::telemetry {\nnamespace {\n\n')
        for i, part in enumerate(parts):
            out.write(f'constexpr std::string_view kPart{i} = R"{DELIMITER}({part}){DELIMITER}";\n')
        names = ", ".join(f"kPart{i}" for i in range(len(parts)))
        out.write(f"\n}}  // namespace\n\nReportAssets report_assets() {{ return {{{names}}}; }}\n\n}}  // namespace gossamer::telemetry\n")


main(*sys.argv[1:])
