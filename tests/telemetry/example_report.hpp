// A report of an invented gossip run with every section filled, for the tests of the page.
#pragma once

#include <cmath>

#include "gossamer/base/rng.hpp"
#include "records/telemetry/report.hpp"

namespace gossamer::telemetry {

inline const std::string kHostileName =
    "</script><img src=x onerror=\"window.broken=1\"><script>window.broken=1</script>";

struct ExampleSize {
    std::size_t peer_count = 256;
    std::size_t round_count = 400;
};

inline Report example_report(ExampleSize size = {}) {
    const auto n = size.peer_count;
    const RunSeed seed{7};
    const auto draw = [&](std::uint64_t a, std::uint64_t b) {
        return RngStream(seed, Purpose::user, a, b).uniform();
    };
    Report report{.title = "gossip-example",
                  .scenario = "gossip-96 with <b>bold</b> & \"quoted\" changes",
                  .run = "gossip-example-3",
                  .seed = "7",
                  .trace_hash = "9f86d081884c7d659a2feaa0c55ad015",
                  .started = "2026-03-01T12:00:00Z"};
    report.notes = {"Stopped by Ctrl-C at round 400 of 500; `--resume` goes on from there."};
    report.summary = {{"accuracy", 0.8431},
                      {"rounds", static_cast<std::int64_t>(size.round_count)},
                      {"virtual_seconds", 7321.5},
                      {"wall_seconds", 93.25},
                      {"events_per_second", 1'234'567.0},
                      {"bytes_sent", std::int64_t{12'345'678'901}},
                      {"reached", true},
                      {"reason", std::string("500 rounds, or <i>Ctrl-C</i>")}};
    auto& accuracy = report.accuracy.emplace_back("test");
    auto& train = report.loss.emplace_back("train");
    auto& test = report.loss.emplace_back("test");
    report.peers.resize(n);
    report.label_names = {"T-shirt", "trouser", "pullover", "dress", "coat",
                          "sandal",  "shirt",   "sneaker",  "bag",   "boot"};
    for (std::size_t i = 0; i < n; ++i) {
        report.peers[i].name = i == 1 ? kHostileName : "edge-" + std::to_string(i);
        for (std::size_t label = 0; label < 10; ++label) {
            const double u = draw(1, i * 10 + label);
            report.peers[i].label_counts.push_back(static_cast<std::uint64_t>(200 * u * u * u * u));
        }
    }
    std::vector<double> accuracies(n), losses(n);
    for (std::size_t round = 0; round <= size.round_count; ++round) {
        const double r = static_cast<double>(round);
        const Moment at{r, r * 796'840.0 * static_cast<double>(n), r * 18.3};
        for (std::size_t i = 0; i < n; ++i) {
            const double luck = draw(2, i) - 0.5, noise = draw(100 + round, i) - 0.5;
            accuracies[i] = 0.86 - (0.75 + 0.02 * noise) * std::exp(-r / (40 + 25 * luck)) +
                            0.03 * luck + 0.01 * noise;
            losses[i] = 0.35 + 1.9 * std::exp(-r / (40 + 25 * luck)) - 0.1 * luck + 0.03 * noise;
        }
        train.add(at, losses);
        report.consensus.add(at, 0.9 * std::pow(0.965, r) + 0.004 * (1 + 0.3 * draw(3, round)));
        if (round % 10 != 0) continue;
        accuracy.add(at, accuracies);
        test.add(at, Spread::of(losses).mean + 0.05);
    }
    for (std::size_t i = 0; i < n; ++i) report.peers[i].accuracy = accuracies[i];
    report.topology = {.name = "4-regular", .node_count = n, .spectral_gap = 0.0343};
    for (std::uint32_t i = 0; i < n; ++i) {
        const auto count = static_cast<std::uint32_t>(n);
        report.topology.edges.push_back({i, (i + 1) % count});
        report.topology.edges.push_back({i, (i * 7 + 11) % count});
        if (n > kPageNodeMax && i % 3 == 0)
            report.topology.edges.push_back({i, static_cast<std::uint32_t>(draw(6, i) * n)});
    }
    report.consensus_predicted =
        predicted_consensus(report.consensus, report.topology.spectral_gap, 0.0015);
    for (std::size_t i = 0; i < n; ++i) {
        double now = 0;
        for (std::size_t round = 0; round < size.round_count; ++round) {
            const double start = 18.3 * static_cast<double>(round);
            const double trained = start + 6 + 6 * draw(4, i) + draw(200 + round, i);
            const bool gone = i % 9 == 4 && round > 100 && round < 180;
            if (now < start)
                report.timeline.add(i, gone ? Activity::away : Activity::wait, now, start);
            report.timeline.add(i, gone ? Activity::away : Activity::train, start, trained);
            now = trained + 1 + 2 * draw(5, i);
            report.timeline.add(i, gone ? Activity::away : Activity::send, trained, now);
        }
        if (i % 9 == 4) {
            report.events.push_back({18.3 * 101, i, "suspect", "no sign of life for 2.1s"});
            report.events.push_back({18.3 * 102, i, "dead", "nobody could reach it"});
            report.events.push_back({18.3 * 180, i, "alive", "it answered " + kHostileName});
        }
    }
    report.events.push_back({3000, std::nullopt, "fault", "partition of 30 s in the middle"});
    return report;
}

}  // namespace gossamer::telemetry
