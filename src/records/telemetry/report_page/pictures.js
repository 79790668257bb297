// Pictures drawn by hand: topology, timeline, labels. And the end of the page's script.

const tip = element("div", {className: "tip", "aria-hidden": "true"});

function showTip(event, text) {
    tip.textContent = text;
    tip.style.visibility = text ? "visible" : "hidden";
    if (!text) return;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 4)) + "px";
    tip.style.top = Math.max(4, event.clientY - box.height - 10) + "px";
}

// A canvas that is painted again when needed. height(width) in pixels; draw(context, width, height);
// words(x, y) what is at that place.
function picture(parent, label, height, draw, words) {
    const canvas = element("canvas", {role: "img", "aria-label": label});
    parent.append(canvas);
    const paint = () => {
        const width = Math.max(160, parent.clientWidth), high = height(width), ratio = devicePixelRatio || 1;
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(high * ratio);
        canvas.style.width = width + "px";
        canvas.style.height = high + "px";
        const context = canvas.getContext("2d");
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        context.font = "12px " + getComputedStyle(document.body).fontFamily;
        draw(context, width, high);
    };
    if (words) {
        const tell = event => {
            const box = canvas.getBoundingClientRect();
            showTip(event, words(event.clientX - box.left, event.clientY - box.top));
        };
        canvas.addEventListener("pointermove", tell);
        canvas.addEventListener("pointerdown", tell);
        canvas.addEventListener("pointerleave", event => showTip(event, ""));
    }
    painters.push(paint);
    return paint;
}

function cut(context, text, width) {
    if (context.measureText(text).width <= width) return text;
    let end = text.length;
    while (end > 1 && context.measureText(text.slice(0, end) + "…").width > width) --end;
    return text.slice(0, end) + "…";
}

// ---- topology --------------------------------------------------------------------------------------

const kCividis = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

function cividis(share) {
    const place = Math.max(0, Math.min(0.9999, share)) * (kCividis.length - 1), i = Math.floor(place);
    return "rgb(" + kCividis[i].map((c, k) => Math.round(c + (place - i) * (kCividis[i + 1][k] - c))).join(",") + ")";
}

function nodePlaces(graph, size, margin) {
    if (!graph.positions)
        return Array.from({length: graph.node_count}, (_, i) => {
            const angle = 2 * Math.PI * i / graph.node_count - Math.PI / 2, radius = size / 2 - margin;
            return [size / 2 + radius * Math.cos(angle), size / 2 + radius * Math.sin(angle)];
        });
    const xs = graph.positions.map(p => p[0]), ys = graph.positions.map(p => p[1]);
    const left = Math.min(...xs), top = Math.min(...ys);
    const span = Math.max(Math.max(...xs) - left, Math.max(...ys) - top) || 1;
    return graph.positions.map(([x, y]) => [margin + (x - left) / span * (size - 2 * margin), margin + (y - top) / span * (size - 2 * margin)]);
}

function drawGraph(body, graph) {
    const accuracies = (report.node_accuracies || []).filter(a => a !== null);
    const least = Math.min(...accuracies), span = Math.max(...accuracies) - least || 1;
    const neighbours = graph.degrees, radius = Math.max(3, Math.min(9, 260 / graph.node_count));
    let places = [];
    const frame = element("div", {className: "square"});
    body.append(frame);
    const paint = picture(frame, `Picture of ${plural(graph.node_count, "peer")} and ${plural(graph.edge_count, "edge")}`,
        width => Math.min(width, 560), (context, width, size) => {
            const shift = (width - size) / 2;
            places = nodePlaces(graph, size, 16).map(([x, y]) => [x + shift, y]);
            context.clearRect(0, 0, width, size);
            context.strokeStyle = colour("soft");
            context.globalAlpha = Math.max(0.08, Math.min(0.8, 150 / graph.edge_count));
            context.beginPath();
            for (let i = 0; i < graph.edges.length; i += 2) {
                context.moveTo(...places[graph.edges[i]]);
                context.lineTo(...places[graph.edges[i + 1]]);
            }
            context.stroke();
            context.globalAlpha = 1;
            context.strokeStyle = colour("ink");
            places.forEach(([x, y], i) => {
                const accuracy = report.node_accuracies ? report.node_accuracies[i] : null;
                context.fillStyle = accuracy === null || accuracy === undefined ? colour("series-1") : cividis((accuracy - least) / span);
                context.beginPath();
                context.arc(x, y, radius, 0, 2 * Math.PI);
                context.fill();
                context.stroke();
            });
        }, (x, y) => {
            const near = places.findIndex(p => Math.hypot(p[0] - x, p[1] - y) <= radius + 4);
            if (near < 0) return "";
            const accuracy = report.node_accuracies && report.node_accuracies[near];
            return `${peerName(near)}: ${plural(neighbours[near], "neighbour")}` +
                (accuracy === null || accuracy === undefined ? "" : `, accuracy ${number(accuracy)}`);
        });
    paint();
    if (accuracies.length)
        body.append(element("p", {className: "soft small"}, `Colour: accuracy at the end, from dark blue (${number(least)}) to yellow (${number(least + span)}).`));
}

function addTopology() {
    const graph = report.topology;
    if (!graph) return;
    section("topology", "Topology", body => {
        const list = [["graph", graph.name || "–"], ["peers", graph.node_count.toLocaleString("en")],
            [graph.directed ? "edges (one way)" : "edges", graph.edge_count.toLocaleString("en")],
            ["neighbours", `${graph.least_degree} to ${graph.greatest_degree}, mean ${number(graph.mean_degree, 3)}`]];
        if (graph.spectral_gap !== undefined) list.push(["spectral gap", number(graph.spectral_gap)]);
        facts(body, list);
        if (graph.edges) {
            drawGraph(body, graph);
        } else {
            body.append(element("p", {}, graph.too_large));
            if (graph.degree_counts.length > 1) bars(body, "How many neighbours the peers have", graph.degree_labels, graph.degree_counts, ["neighbours", "peers"],
                `Neighbours of each peer: ${graph.least_degree} to ${graph.greatest_degree}`);
        }
    });
}

// ---- timeline --------------------------------------------------------------------------------------

const kActivities = [["train", "train", 1], ["send", "send", 0.65], ["wait", "wait", 0.3], ["away", "away", 0],
    ["mix, evaluate", "work", 0.8]];
const kMarks = {alive: "▲", awake: "▲", healed: "▲", dead: "✕", fault: "✕", suspect: "?", left: "▽", asleep: "☾"};
const kRow = 18;

function markOf(kind) {
    return kMarks[kind] || "•";
}

function drawSpan(context, kind, x, top, width) {
    const [, name, share] = kActivities[kind];
    if (name === "away") {
        context.strokeStyle = colour("soft");
        context.setLineDash([2, 2]);
        context.strokeRect(x + 0.5, top + 2.5, Math.max(1, width - 1), kRow - 6);
        context.setLineDash([]);
        return;
    }
    const high = (kRow - 5) * share;
    context.fillStyle = colour(name);
    context.fillRect(x, top + kRow - 2 - high, Math.max(0.5, width), high);
}

// One row between two times, on the pixels from left to right. Where spans are finer than pixels can
// show, blocks are stacked: how much of their time each activity took.
function drawRow(context, row, view, top, left, right) {
    const perSecond = (right - left) / (view.to - view.from), x = time => left + (time - view.from) * perSecond;
    const spans = [];
    for (let i = 0; i < row.length; i += 3)
        if (row[i + 1] >= view.from && row[i] <= view.to) spans.push([row[i], row[i + 1], row[i + 2]]);
    if (spans.length * 4 < right - left) {
        for (const [from, to, kind] of spans) drawSpan(context, kind, x(from), top, x(to) - x(from));
        return;
    }
    // Blocks of several spans each, so that no pattern of pixels and rounds appears.
    const wide = Math.max(1, Math.ceil(16 * (right - left) / spans.length)), count = Math.ceil((right - left) / wide);
    const shares = kActivities.map(() => new Float64Array(count));
    for (const [from, to, kind] of spans) {
        const begin = Math.max(0, (x(from) - left) / wide), end = Math.min(count, (x(to) - left) / wide);
        for (let block = Math.floor(begin); block < end; ++block)
            shares[kind][block] += Math.min(end, block + 1) - Math.max(begin, block);
    }
    const whole = kRow - 5, filled = new Float64Array(count);
    kActivities.forEach(([, name], kind) => {
        context.fillStyle = colour(name === "away" ? "line" : name);
        shares[kind].forEach((share, block) => {
            filled[block] += share;
            if (share > 0) context.fillRect(left + block * wide, top + kRow - 2 - whole * filled[block], wide, whole * share);
        });
    });
}

function niceStep(span, count) {
    const rough = span / count, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map(f => f * power).find(step => step >= rough);
}

function addTimeline() {
    const plan = report.timeline;
    if (!plan) return;
    section("timeline", "Who did what when", body => {
        const whole = {from: 0, to: plan.end}, view = {...whole};
        const labelWidth = width => width < 520 ? 66 : 130;
        const xOf = (time, width) => labelWidth(width) + (time - view.from) / (view.to - view.from) * (width - labelWidth(width) - 6);
        const timeOf = (x, width) => view.from + (x - labelWidth(width)) / (width - labelWidth(width) - 6) * (view.to - view.from);
        if (plan.notes.length) body.append(element("p", {className: "soft small"}, plan.notes.join(" ")));
        const keys = element("ul", {className: "keys"});
        kActivities.forEach(([name], kind) => {
            const swatch = element("canvas", {width: 44, height: kRow * 2, "aria-hidden": "true"});
            swatch.style.width = "22px";
            swatch.style.height = kRow + "px";
            const paint = () => {
                const context = swatch.getContext("2d");
                context.setTransform(2, 0, 0, 2, 0, 0);
                context.clearRect(0, 0, 22, kRow);
                drawSpan(context, kind, 0, 0, 22);
            };
            painters.push(paint);
            paint();
            if (plan.kinds.includes(kind)) keys.append(element("li", {}, swatch, name));
        });
        const marks = report.events.rows.filter(row => row[1] !== null && row[1] < plan.rows.length);
        for (const kind of new Set(marks.map(mark => mark[3])))
            keys.append(element("li", {}, markOf(kind) + " " + kind));
        const bar = element("div", {className: "bar"});
        const shown = element("span", {className: "small soft", role: "status"});
        const ruler = element("div", {}), scroll = element("div", {className: "scroll", tabIndex: 0, role: "region", "aria-label": "Timeline, a row for each peer"});
        body.append(keys, bar, ruler, scroll);
        let rowsWidth = 0;
        const paintRuler = picture(ruler, "Time axis", () => 22, (context, width) => {
            width = Math.min(width, scroll.clientWidth) || width;
            context.clearRect(0, 0, width, 22);
            context.fillStyle = colour("soft");
            context.strokeStyle = colour("soft");
            const [scale, unit] = unitFor("seconds", view.to);
            const step = niceStep((view.to - view.from) / scale, Math.max(2, (width - labelWidth(width)) / 90));
            for (let tick = Math.ceil(view.from / scale / step) * step; tick * scale <= view.to; tick += step) {
                const x = xOf(tick * scale, width), text = Number(tick.toPrecision(10)) + " " + unit;
                context.fillRect(x, 17, 1, 5);
                context.fillText(text, Math.min(x - 2, width - context.measureText(text).width - 2), 13);
            }
        });
        const paintRows = picture(scroll, `Timeline of ${plural(plan.rows.length, "peer")} over ${measure("seconds", plan.end)}`,
            () => plan.rows.length * kRow + 4, (context, width, height) => {
                rowsWidth = width;
                context.clearRect(0, 0, width, height);
                plan.rows.forEach((row, peer) => {
                    const top = peer * kRow;
                    context.fillStyle = colour("ink");
                    context.fillText(cut(context, peerName(peer), labelWidth(width) - 10), 6, top + kRow - 5);
                    context.fillStyle = colour("line");
                    context.fillRect(labelWidth(width), top + kRow - 2, width - labelWidth(width) - 6, 1);
                    context.save();
                    context.beginPath();
                    context.rect(labelWidth(width), top, width - labelWidth(width) - 6, kRow);
                    context.clip();
                    drawRow(context, row, view, top, labelWidth(width), width - 6);
                    context.restore();
                });
                context.font = "bold " + context.font;
                context.lineWidth = 3;
                for (const [time, peer, , kind] of marks) {
                    if (time < view.from || time > view.to) continue;
                    const x = xOf(time, width) - context.measureText(markOf(kind)).width / 2, y = peer * kRow + kRow - 5;
                    context.strokeStyle = colour("paper");
                    context.strokeText(markOf(kind), x, y);
                    context.fillStyle = colour("ink");
                    context.fillText(markOf(kind), x, y);
                }
            }, (x, y) => {
                const peer = Math.floor(y / kRow), row = plan.rows[peer];
                if (!row || x < labelWidth(rowsWidth)) return row ? peerName(peer) : "";
                const near = marks.find(mark => mark[1] === peer && Math.abs(xOf(mark[0], rowsWidth) - x) < 6);
                if (near) return `${near[2]} ${near[3]} at ${measure("seconds", near[0])}${near[4] ? ": " + near[4] : ""}`;
                const time = timeOf(x, rowsWidth);
                for (let i = 0; i < row.length; i += 3)
                    if (row[i] <= time && time <= row[i + 1])
                        return `${peerName(peer)}: ${kActivities[row[i + 2]][0]}, ${measure("seconds", row[i])} to ${measure("seconds", row[i + 1])}`;
                return `${peerName(peer)}, ${measure("seconds", time)}`;
            });
        const buttons = {};
        const paint = () => {
            paintRows();
            paintRuler();
            shown.textContent = `${measure("seconds", view.from, view.to)} to ${measure("seconds", view.to)} of ${kAxes.seconds}`;
            buttons.All.disabled = buttons.Wider.disabled = view.to - view.from >= whole.to;
            buttons.Earlier.disabled = view.from <= 0;
            buttons.Later.disabled = view.to >= whole.to;
        };
        const look = (middle, span) => {
            span = Math.max(whole.to / 1e5, Math.min(whole.to, span));
            view.from = Math.max(0, Math.min(whole.to - span, middle - span / 2));
            view.to = view.from + span;
            paint();
        };
        for (const [name, move, zoom] of [["Closer", 0, 0.5], ["Wider", 0, 2], ["Earlier", -0.5, 1], ["Later", 0.5, 1], ["All", 0, Infinity]]) {
            buttons[name] = element("button", {type: "button"}, name);
            buttons[name].addEventListener("click", () => look((view.from + view.to) / 2 + move * (view.to - view.from), zoom * (view.to - view.from)));
            bar.append(buttons[name]);
        }
        bar.append(shown);
        paint();
    });
}

// ---- events and labels -----------------------------------------------------------------------------

function addEvents() {
    const events = report.events;
    if (events.total === 0) return;
    section("events", "Membership and other events", body => {
        body.append(element("p", {}, events.counts.map(([kind, count]) => `${markOf(kind)} ${kind} ${count.toLocaleString("en")}`).join(" · ")));
        if (events.total > events.rows.length)
            body.append(element("p", {className: "soft small"}, `The first ${events.rows.length.toLocaleString("en")} of ${events.total.toLocaleString("en")} are listed.`));
        body.append(table([["time", true], ["peer", false], ["what", false], ["why", false]],
            events.rows.map(([time, , name, kind, text]) => [measure("seconds", time), name, markOf(kind) + " " + kind, text]), "Events"));
    });
}

function addLabels() {
    const labels = report.labels;
    if (!labels) return;
    section("labels", "Whose data hold which labels", body => {
        body.append(element("p", {className: "soft small"},
            "Each row is a peer's data; the darker or brighter a cell, the larger that label's share of them. At the right: samples." +
            (labels.peer_count > labels.rows.length ? ` The first ${labels.rows.length} of ${labels.peer_count.toLocaleString("en")} peers.` : "")));
        const count = labels.names.length, row = 14, head = 20;
        const totals = labels.rows.map(counts => counts.reduce((a, b) => a + b, 0));
        const left = width => width < 520 ? 60 : 130, right = 56;
        const cell = width => (width - left(width) - right) / count;
        let widthNow = 0;
        const scroll = element("div", {className: "scroll", tabIndex: 0, role: "region", "aria-label": "Labels of each peer"});
        body.append(scroll);
        picture(scroll, `Label shares of ${plural(labels.rows.length, "peer")} over ${plural(count, "label")}`,
            () => head + labels.rows.length * row + 6, (context, width, height) => {
                widthNow = width;
                const wide = cell(width), every = Math.max(1, Math.ceil(28 / wide));
                context.clearRect(0, 0, width, height);
                context.fillStyle = colour("soft");
                labels.names.forEach((name, i) => {
                    if (i % every === 0) context.fillText(cut(context, name, Math.max(wide * every - 4, 8)), left(width) + i * wide + 2, 14);
                });
                labels.rows.forEach((counts, peer) => {
                    const top = head + peer * row;
                    context.fillStyle = colour("ink");
                    context.fillText(cut(context, peerName(peer), left(width) - 10), 6, top + row - 3);
                    context.fillText(totals[peer].toLocaleString("en"), width - right + 6, top + row - 3);
                    context.fillStyle = colour("series-1");
                    counts.forEach((samples, i) => {
                        if (!samples) return;
                        context.globalAlpha = 0.08 + 0.92 * Math.sqrt(samples / totals[peer]);
                        context.fillRect(left(width) + i * wide, top + 1, Math.max(1, wide - 1), row - 2);
                    });
                    context.globalAlpha = 1;
                });
            }, (x, y) => {
                const peer = Math.floor((y - head) / row), i = Math.floor((x - left(widthNow)) / cell(widthNow));
                if (!labels.rows[peer]) return "";
                if (labels.rows[peer][i] === undefined) return peerName(peer);
                return `${peerName(peer)}, label ${labels.names[i]}: ${plural(labels.rows[peer][i], "sample")} of ${totals[peer].toLocaleString("en")}`;
            })();
    });
}

addCurves();
addTopology();
addAccuracies();
addTimeline();
addEvents();
addLabels();
document.body.append(tip, element("footer", {}, "This page holds all it needs and asks nothing of any network."));
if (drawn.length < 2) document.getElementById("contents").remove();

const repaint = () => painters.forEach(paint => paint());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
let widthBefore = innerWidth;
addEventListener("resize", () => {
    if (innerWidth === widthBefore) return;
    widthBefore = innerWidth;
    requestAnimationFrame(repaint);
});
document.documentElement.dataset.drawn = drawn.join(" ");
