"""Opens report pages in a headless Chromium and looks at them: no error, no request, all drawn.

report_in_browser.py WRITE_EXAMPLE_REPORT [--shots FOLDER]

Talks to the browser through its debugging pipe. Exit status 77 = skipped: no browser here.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

LIMIT = 60  # seconds for one answer; a browser that hangs fails the test


class Browser:
    def __init__(self, program, folder):
        to_browser, self.out = os.pipe()
        self.into, from_browser = os.pipe()
        self.log = open(os.path.join(folder, "browser.log"), "w+")

        def wire():  # the browser reads commands on 3 and answers on 4
            a, b = os.dup(to_browser), os.dup(from_browser)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
             "--no-first-run", "--user-data-dir=" + os.path.join(folder, "profile")],
            preexec_fn=wire, close_fds=False, stdout=self.log, stderr=self.log)
        os.close(to_browser)
        os.close(from_browser)
        self.count, self.waiting, self.events = 0, b"", []
        target = self.ask("Target.createTarget", {"url": "about:blank"}, None)["targetId"]
        self.session = self.ask("Target.attachToTarget", {"targetId": target, "flatten": True}, None)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(domain + ".enable")

    def receive(self, deadline):
        while b"\0" not in self.waiting:
            ready, _, _ = select.select([self.into], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.into, 1 << 20) if ready else b""
            if not data:
                self.log.seek(0)
                sys.exit("the browser " + ("ended" if ready else "does not answer") + ":\n" + self.log.read()[-3000:])
            self.waiting += data
        text, self.waiting = self.waiting.split(b"\0", 1)
        return json.loads(text)

    def ask(self, method, params=None, session=True):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        deadline = time.monotonic() + LIMIT
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == self.count:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def value(self, script):
        answer = self.ask("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in answer:
            sys.exit(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def open(self, path, width, height, scheme):
        self.ask("Emulation.setDeviceMetricsOverride",
                 {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self.ask("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.events.clear()
        self.ask("Page.navigate", {"url": "file://" + path})
        deadline = time.monotonic() + LIMIT
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive(deadline))
        self.settle()

    def settle(self):
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def complaints(self):
        """Errors on the console, exceptions, and requests to anything but the file itself."""
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append("exception: " + json.dumps(params["exceptionDetails"])[:500])
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append("console: " + json.dumps(params["args"])[:500])
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append("log: " + params["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "data:")):
                    found.append("request: " + url)
        return found

    def shoot(self, path, high=1500):
        """The whole page, in pieces that can be looked at."""
        whole, width = self.value("document.documentElement.scrollHeight"), self.value("innerWidth")
        for piece, top in enumerate(range(0, min(whole, 10 * high), high)):
            clip = {"x": 0, "y": top, "width": width, "height": min(high, whole - top), "scale": 1}
            data = self.ask("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})["data"]
            with open(f"{path}-{piece}.png", "wb") as file:
                file.write(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait()


failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
        print("FAILED:", what)


# Of each canvas: its label and how many of its sampled pixels differ from the corner's.
CANVASES = """[...document.querySelectorAll('canvas')].map(canvas => {
    const {width, height} = canvas, data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    let inked = 0;
    for (let i = 0; i < data.length; i += 4)
        if (data[i] !== data[0] || data[i + 1] !== data[1] || data[i + 2] !== data[2] || data[i + 3] !== data[3]) ++inked;
    return [canvas.getAttribute('aria-label') || canvas.className, inked];
})"""
SECTIONS = "document.documentElement.dataset.drawn"
LUMINANCE = """(name => { const [r, g, b] = getComputedStyle(document.body)[name].match(/[0-9.]+/g).map(Number);
    return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255; })"""
AXIS = "Chart.getChart(document.querySelector('#learning canvas')).options.scales.x.title.text"
HIGHEST = """(place => { const chart = Chart.getChart(document.querySelectorAll('#learning canvas')[place]);
    return Math.max(...chart.data.datasets.flatMap(set => set.data.map(point => point.y))); })"""
ALL = "learning consensus topology accuracies timeline events labels"


def look_at(browser, page, name, sections, shots):
    for width, scheme in ((1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")):
        where = f"{name}, {width} pixels, {scheme}: "
        browser.open(page, width, 900, scheme)
        check(browser.value(SECTIONS) == sections, where + f"sections are {browser.value(SECTIONS)}")
        for label, inked in browser.value(CANVASES):
            check(inked > 20, where + f"blank picture: {label}")
        wide = browser.value("document.documentElement.scrollWidth")
        check(wide <= width, where + f"the page is {wide} wide")
        paper, ink = browser.value(LUMINANCE + "('backgroundColor')"), browser.value(LUMINANCE + "('color')")
        check(paper > 0.9 > 0.3 > ink if scheme == "light" else paper < 0.1 < 0.7 < ink, where + f"colours {paper}, {ink}")
        check(browser.value("window.broken") is None, where + "a name became script")
        check(browser.value("document.images.length") == 0, where + "a name became an image")
        for complaint in browser.complaints():
            check(False, where + complaint)
        if shots:
            browser.shoot(os.path.join(shots, f"{name}-{width}-{scheme}"))


def use(browser, page):
    browser.open(page, 1280, 900, "light")
    check("onerror" in browser.value("document.getElementById('events').textContent"), "a hostile name is shown as text")
    check(browser.value(AXIS) == "rounds", "the first axis is rounds")
    check(0.8 < browser.value(HIGHEST + "(0)") < 0.9, "the accuracies drawn are those of the data")
    browser.value("document.querySelector('#learning input').focus()")
    for title in ("bytes sent (GB)", "virtual time (h)"):
        for kind in ("keyDown", "keyUp"):
            browser.ask("Input.dispatchKeyEvent", {"type": kind, "key": "ArrowRight", "code": "ArrowRight", "windowsVirtualKeyCode": 39})
        browser.settle()
        check(browser.value(AXIS) == title, f"the arrow key leads to {title}, not to {browser.value(AXIS)}")
    status = "document.querySelector('#timeline [role=status]').textContent"
    before = browser.value(status)
    browser.value("[...document.querySelectorAll('#timeline button')].find(b => b.textContent === 'Closer').click()")
    check(browser.value(status) != before, "the timeline comes closer")
    box = browser.value("""(() => { const canvas = document.querySelector('#topology canvas');
        canvas.scrollIntoView({block: 'center'}); const box = canvas.getBoundingClientRect();
        return [box.left + box.width / 2, box.top + 16]; })()""")
    browser.ask("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": box[0], "y": box[1]})
    browser.settle()
    check("edge-0: " in browser.value("document.querySelector('.tip').textContent"), "the pointer learns a node's name")
    browser.ask("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    browser.settle()
    ink = browser.value("Chart.getChart(document.querySelector('#learning canvas')).options.plugins.legend.labels.color")
    check(ink == "#e6e8eb", f"charts follow the colour scheme, not {ink}")
    for complaint in browser.complaints():
        check(False, "in use: " + complaint)


def find_browser():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def main(writer, shots):
    program = find_browser()
    if program is None:
        print("SKIPPED: no Chromium here to open report pages in (./run setup --extras installs it)")
        return 77
    with tempfile.TemporaryDirectory(prefix="gossamer-report-", ignore_cleanup_errors=True) as folder:
        browser = Browser(program, folder)
        try:
            for name, sections in (("full", ALL), ("small", ALL), ("large", ALL), ("empty", "")):
                page = os.path.join(folder, name + ".html")
                subprocess.run([writer, page, name], check=True)
                check(os.path.getsize(page) < 3e6, name + ": the page is below 3 MB")
                look_at(browser, page, name, sections, shots)
            use(browser, os.path.join(folder, "full.html"))
        finally:
            browser.close()
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    shots_folder = sys.argv[sys.argv.index("--shots") + 1] if "--shots" in sys.argv else None
    sys.exit(main(os.path.abspath(sys.argv[1]), shots_folder))
