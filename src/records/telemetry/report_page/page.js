// The frame of the page: data, formats, sections, and the charts made with Chart.js. Text from the
// data reaches the document as text nodes only.
"use strict";

const report = JSON.parse(document.getElementById("report-data").textContent);
const painters = [];  // run again when colours or widths change
const drawn = [];     // sections that stand; told to tests at the end

function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

// #rrggbb with an opacity.
function faded(hex, opacity) {
    return hex + Math.round(opacity * 255).toString(16).padStart(2, "0");
}

function element(tag, properties, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
        if (name in made) made[name] = value;
        else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
}

// ---- formats ---------------------------------------------------------------------------------------

function number(value, digits = 4) {
    if (value === null || value === undefined) return "–";
    if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e7)) return value.toExponential(2);
    return Number(value.toPrecision(digits)).toLocaleString("en", {maximumFractionDigits: 6});
}

const kUnits = {
    round: [[1, ""]],
    bytes: [[1, "B"], [1e3, "kB"], [1e6, "MB"], [1e9, "GB"], [1e12, "TB"], [1e15, "PB"]],
    seconds: [[1e-6, "µs"], [1e-3, "ms"], [1, "s"], [60, "min"], [3600, "h"], [86400, "d"]],
};

function unitFor(axis, greatest) {
    const few = axis === "seconds" ? 2 : 1;
    return kUnits[axis].filter(([scale]) => greatest >= few * scale).pop() || kUnits[axis][0];
}

function measure(axis, value, like = value) {
    if (value === null || value === undefined) return "–";
    if (like === 0) return "0";
    const [scale, name] = unitFor(axis, Math.abs(like));
    return number(value / scale) + (name ? " " + name : "");
}

const kAxes = {round: "rounds", bytes: "bytes sent", seconds: report.virtual_time ? "virtual time" : "time"};

function plural(count, one, many = one + "s") {
    return count.toLocaleString("en") + " " + (count === 1 ? one : many);
}

function peerName(index) {
    return report.names[index] || "peer " + index;
}

// ---- parts of the page -----------------------------------------------------------------------------

function section(id, title, fill) {
    const heading = element("h2", {id: id + "-title"}, title);
    const body = element("section", {id, "aria-labelledby": id + "-title"}, heading);
    document.getElementById("main").append(body);
    document.getElementById("contents").append(element("a", {href: "#" + id}, title));
    try {
        fill(body);
        drawn.push(id);
    } catch (error) {
        body.append(element("p", {className: "note"}, "This section could not be drawn: " + error.message));
        console.error(error);
    }
}

function facts(parent, pairs) {
    const list = element("dl", {className: "facts"});
    for (const [name, value] of pairs)
        list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    parent.append(list);
}

// columns: [title, is a number].
function table(columns, rows, caption) {
    const kind = i => columns[i][1] ? "number" : "";
    const head = element("tr", {}, ...columns.map(([title], i) =>
        element("th", {scope: "col", className: kind(i)}, title)));
    const body = element("tbody", {});
    for (const row of rows)
        body.append(element("tr", {}, ...row.map((cell, i) => element("td", {className: kind(i)}, cell))));
    return element("div", {className: "scroll", tabIndex: 0, role: "region", "aria-label": caption},
        element("table", {}, element("thead", {}, head), body));
}

// ---- charts ----------------------------------------------------------------------------------------

const kDashes = [[], [7, 4], [2, 3], [9, 3, 2, 3]];

function values(series, key) {
    return series[key] || [];
}

function reaches(seriesList, axis) {
    return seriesList.some(series => values(series, axis).some(x => x !== null));
}

// The points of one line: [{x, y}], without unknown values, nor those a log scale cannot show.
function line(series, axis, key, scale, log) {
    const xs = values(series, axis), ys = values(series, key), points = [];
    for (let i = 0; i < ys.length; ++i)
        if (xs[i] !== null && xs[i] !== undefined && ys[i] !== null && (!log || ys[i] > 0))
            points.push({x: xs[i] / scale, y: ys[i], at: i});
    return points.sort((a, b) => a.x - b.x);
}

function datasetsOf(series, place, axis, scale, log) {
    const hue = colour("series-" + (place % 4 + 1));
    const band = (low, high, opacity) => [
        {data: line(series, axis, low, scale, log), borderWidth: 0, pointRadius: 0, pointHitRadius: 0, place, band: true},
        {data: line(series, axis, high, scale, log), borderWidth: 0, pointRadius: 0, pointHitRadius: 0, place, band: true,
            fill: "-1", backgroundColor: faded(hue, opacity)},
    ];
    const mean = line(series, axis, "mean", scale, log);
    return [
        ...(series.least ? band("least", "greatest", 0.13) : []),
        ...(series.lower_quartile ? band("lower_quartile", "upper_quartile", 0.25) : []),
        {label: series.name, data: mean, borderColor: hue, backgroundColor: hue, borderWidth: mean.length > 300 ? 1.25 : 2, place, series,
            borderDash: kDashes[place % 4], pointRadius: mean.length <= 30 ? 2.5 : 0, pointHitRadius: 6},
    ];
}

function tipOf(item) {
    const {series} = item.dataset, i = item.raw.at;
    let text = series.name + " " + number(series.mean[i]);
    if (series.lower_quartile) text += `, half of the peers ${number(series.lower_quartile[i])} to ${number(series.upper_quartile[i])}`;
    if (series.least) text += `, all ${number(series.least[i])} to ${number(series.greatest[i])}`;
    return text;
}

function chartColours(options) {
    for (const scale of Object.values(options.scales)) {
        scale.ticks = {...scale.ticks, color: colour("soft")};
        scale.grid = {...scale.grid, color: colour("line"), borderColor: colour("soft")};
        scale.title.color = colour("ink");
    }
    options.plugins.legend.labels.color = colour("ink");
    return options;
}

function inWords(name, seriesList) {
    return name + ": " + seriesList.map(series => {
        const known = values(series, "mean").filter(y => y !== null);
        if (known.length === 0) return series.name + " unknown";
        return `${series.name} from ${number(known[0])} to ${number(known[known.length - 1])}, ` +
            `least ${number(Math.min(...known))}, greatest ${number(Math.max(...known))}`;
    }).join("; ");
}

function valueTable(name, seriesList) {
    const rows = [], axes = Object.keys(kAxes).filter(axis => reaches(seriesList, axis));
    for (const series of seriesList) {
        const count = values(series, "mean").length, step = Math.max(1, Math.ceil(count / 40));
        for (let i = 0; i < count; i = i === count - 1 ? count : Math.min(i + step, count - 1))
            rows.push([series.name, ...axes.map(axis => measure(axis, values(series, axis)[i])), number(series.mean[i]),
                number(values(series, "least")[i]), number(values(series, "greatest")[i])]);
    }
    const columns = [["series", false], ...axes.map(axis => [kAxes[axis], true]), ["mean", true], ["least", true],
        ["greatest", true]];
    return element("details", {}, element("summary", {}, "Values as a table"), table(columns, rows, name + ", values"));
}

// Labels of a log scale: powers of ten, and more where there are few of them.
function decades(y, _, ticks) {
    const powers = ticks.filter(tick => Math.abs(Math.log10(tick.value) % 1) < 1e-6).length;
    const mantissa = Math.round(y / 10 ** Math.floor(Math.log10(y) + 1e-9));
    return mantissa === 1 || (powers < 3 && (mantissa === 2 || mantissa === 5))
        ? (y < 1e-3 ? y.toExponential(0) : number(y, 2)) : "";
}

// One chart of lines with bands. Returns a function that redraws it along another axis.
function curves(parent, name, seriesList, options = {}) {
    const canvas = element("canvas", {role: "img", "aria-label": inWords(name, seriesList)});
    parent.append(element("figure", {}, element("h3", {}, name), element("div", {className: "chart"}, canvas),
        valueTable(name, seriesList)));
    let chart = null;
    return axis => {
        const xs = seriesList.flatMap(series => values(series, axis)).filter(x => x !== null);
        const [scale, unit] = unitFor(axis, xs.reduce((a, b) => Math.max(a, Math.abs(b)), 0));
        const config = {
            type: "line",
            data: {datasets: seriesList.flatMap((s, i) => datasetsOf(s, i, axis, scale, options.log))},
            options: chartColours({
                animation: false, parsing: false, normalized: true, maintainAspectRatio: false,
                interaction: {mode: "nearest", axis: "x", intersect: false},
                scales: {
                    x: {type: "linear", title: {display: true, text: kAxes[axis] + (unit ? ` (${unit})` : "")},
                        bounds: "data",
                        min: Math.min(...xs) < 0.3 * Math.max(...xs) ? 0 : undefined,
                        ticks: {maxRotation: 0, autoSkipPadding: 12, includeBounds: false}},
                    y: {type: options.log ? "logarithmic" : "linear", title: {display: false},
                        ticks: options.log ? {callback: decades} : {}},
                },
                plugins: {
                    legend: {
                        labels: {filter: item => item.text !== undefined, boxWidth: 24, boxHeight: 1},
                        onClick: (_, item, legend) => {
                            const place = legend.chart.data.datasets[item.datasetIndex].place;
                            const show = !legend.chart.isDatasetVisible(item.datasetIndex);
                            legend.chart.data.datasets.forEach((set, i) => {
                                if (set.place === place) legend.chart.setDatasetVisibility(i, show);
                            });
                            legend.chart.update();
                        },
                    },
                    tooltip: {
                        filter: item => !item.dataset.band,
                        callbacks: {
                            title: items => items.length ? measure(axis, items[0].raw.x * scale) + (axis === "round" ? " rounds" : "") : "",
                            label: tipOf,
                        },
                    },
                },
            }),
        };
        if (chart) chart.destroy();
        chart = new Chart(canvas, config);
    };
}

function bars(parent, name, labels, counts, axisNames, words) {
    const canvas = element("canvas", {role: "img", "aria-label": words});
    parent.append(element("figure", {}, element("h3", {}, name), element("div", {className: "chart"}, canvas)));
    let chart = null;
    const paint = () => {
        if (chart) chart.destroy();
        chart = new Chart(canvas, {
            type: "bar",
            data: {labels, datasets: [{data: counts, backgroundColor: colour("series-1"), barPercentage: 1, categoryPercentage: 0.94}]},
            options: chartColours({
                animation: false, maintainAspectRatio: false,
                scales: {
                    x: {title: {display: true, text: axisNames[0]}, grid: {display: false}, ticks: {maxRotation: 0, autoSkipPadding: 8}},
                    y: {title: {display: true, text: axisNames[1]}, beginAtZero: true, ticks: {precision: 0}},
                },
                plugins: {legend: {display: false, labels: {}}},
            }),
        });
    };
    painters.push(paint);
    paint();
}

// ---- sections made of charts -----------------------------------------------------------------------

// Accuracy, loss and consensus share one choice of the horizontal axis.
function addCurves() {
    const all = [...report.accuracy, ...report.loss, ...report.consensus];
    const axes = Object.keys(kAxes).filter(axis => reaches(all, axis));
    if (axes.length === 0) return;
    let chosen = axes[0];
    const redraws = [];
    const redraw = () => redraws.forEach(paint => paint(chosen));
    const choice = name => {
        if (axes.length < 2) return "";
        const set = element("fieldset", {}, element("legend", {}, "Horizontal axis"));
        for (const axis of axes) {
            const radio = element("input", {type: "radio", name, value: axis, checked: axis === chosen});
            radio.addEventListener("change", () => {
                chosen = axis;
                document.querySelectorAll(`fieldset input[value="${axis}"]`).forEach(other => { other.checked = true; });
                redraw();
            });
            set.append(element("label", {}, radio, kAxes[axis]));
        }
        return set;
    };
    if (report.accuracy.length + report.loss.length > 0)
        section("learning", "Learning", body => {
            if ([...report.accuracy, ...report.loss].some(series => series.least))
                body.append(element("p", {className: "soft small"},
                    "Lines are means over the peers; the dark band holds the middle half of them, the pale band all."));
            const pair = element("div", {className: "pair"});
            body.append(choice("axis-learning"), pair);
            if (report.accuracy.length) redraws.push(curves(pair, "Accuracy", report.accuracy));
            if (report.loss.length) redraws.push(curves(pair, "Loss", report.loss));
            redraw();
        });
    if (report.consensus.length > 0)
        section("consensus", "Distance to consensus", body => {
            body.append(element("p", {className: "soft small"}, report.consensus.length > 1
                ? "How far the replicas are from their mean, beside what the graph's spectral gap lets one expect."
                : "How far the replicas are from each other."));
            body.append(choice("axis-consensus"));
            redraws.push(curves(body, "Distance", report.consensus, {log: true}));
            redraw();
        });
    painters.push(redraw);
}

function addAccuracies() {
    const spread = report.accuracies;
    if (!spread) return;
    section("accuracies", "Accuracy of each peer", body => {
        const labels = spread.counts.map((_, i) => number(spread.from + i * spread.step));
        const words = `${plural(spread.peer_count, "peer")}: accuracy from ${number(spread.least)} to ` +
            `${number(spread.greatest)}, mean ${number(spread.mean)}`;
        body.append(element("p", {}, words + "."));
        bars(body, "Peers by accuracy at the end", labels, spread.counts, [`accuracy (from, in steps of ${number(spread.step)})`, "peers"], words);
        body.append(element("p", {className: "small"}, "Lowest: " + spread.lowest.map(([name, value]) => `${name} ${number(value)}`).join(", ")));
    });
}
