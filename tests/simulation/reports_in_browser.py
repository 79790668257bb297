"""Runs small simulations and looks at the report pages they leave in a headless Chromium.

reports_in_browser.py GOSSAMER_SIM [--shots FOLDER]

Exit status 77 = skipped: no browser here.
"""
import glob
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "telemetry"))
import report_in_browser as page  # noqa: E402

SMALL = """[run]
mode = "{mode}"
peers = 12
rounds = 60
seed = 3
[gossip]
evaluate_every = 10
[federated]
client_evaluate_every = 1
[topology]
graph = "random-regular"
[data]
format = "synthetic"
partition = "dirichlet"
alpha = 0.3
[model]
name = "softmax-regression"
[simulation]
samples_per_second = 300
up = "50kB"
faults = ["4s partition 0-5 | 6-11 for 4s", "6s sleep 2 for 5s", "9s kill 3 for 3s"]
"""
SECTIONS = {"gossip": page.ALL, "federated": "learning accuracies timeline events labels"}
SERIES = "Chart.getChart(document.querySelector('#{section} canvas')).data.datasets.map(set => set.label || '')"


def main(sim, shots):
    program = page.find_browser()
    if program is None:
        print("SKIPPED: no Chromium here to open report pages in (./run setup --extras installs it)")
        return 77
    with tempfile.TemporaryDirectory(prefix="gossamer-report-", ignore_cleanup_errors=True) as folder:
        browser = page.Browser(program, folder)
        try:
            for mode, sections in SECTIONS.items():
                scenario = os.path.join(folder, mode + ".toml")
                with open(scenario, "w") as file:
                    file.write(SMALL.format(mode=mode))
                subprocess.run([sim, "run", scenario, "--out", folder + "/runs"], check=True,
                               stdout=subprocess.DEVNULL)
                found, = glob.glob(f"{folder}/runs/{mode}-1/report.html")
                page.check(os.path.getsize(found) < 3e6, mode + ": the page is below 3 MB")
                page.look_at(browser, found, mode, sections, shots)
                if mode == "gossip":
                    browser.open(found, 1280, 900, "light")
                    names = " ".join(browser.value(SERIES.format(section="consensus")))
                    page.check("measured" in names and "predicted" in names, "consensus shows " + names)
                    events = browser.value("document.getElementById('events').textContent")
                    page.check("partition 0-5 | 6-11" in events, "the partition is among the events")
        finally:
            browser.close()
    print(f"{len(page.failures)} failures")
    return 1 if page.failures else 0


if __name__ == "__main__":
    folder_of_shots = sys.argv[sys.argv.index("--shots") + 1] if "--shots" in sys.argv else None
    sys.exit(main(os.path.abspath(sys.argv[1]), folder_of_shots))
