// What a simulated run shows of itself.
#include <cmath>
#include <set>

#include "drivers/simulation/simulation_report.hpp"
#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {
tensor::Model model_of(const std::vector<float>& values) {
    static const auto pool = tensor::BufferPool::create(1 << 20);
    auto buffer = pool->take_floats(values.size());
    std::ranges::copy(values, buffer.floats().begin());
    return tensor::Model::of(vector_layout(values.size()), std::move(buffer));
}
}  // namespace

TEST_CASE("the distance to consensus is that of the models, whatever they are compared with") {
    ConsensusMeter meter(3, 4);
    const std::vector<std::vector<float>> models = {
        {1000, 1, 0}, {1001, 2, 0}, {999, 3, 0.5f}, {1002, 4, 0}};
    for (const auto& model : models) meter.add(7, meter.sample(model_of(model)));
    double squares = 0;
    for (std::size_t k = 0; k < 3; ++k) {
        double mean = 0;
        for (const auto& model : models) mean += double{model[k]} / 4;
        for (const auto& model : models) squares += std::pow(model[k] - mean, 2);
    }
    REQUIRE(meter.distances().contains(7));
    CHECK(meter.distances().at(7) == doctest::Approx(std::sqrt(squares / 12)));
}

TEST_CASE("a meter of consensus keeps to its bounds in a run without end") {
    ConsensusMeter meter(100'000, 2);
    const auto one = meter.sample(model_of(std::vector<float>(100'000, 1.0f)));
    const auto two = meter.sample(model_of(std::vector<float>(100'000, 3.0f)));
    CHECK(one.size() == ConsensusMeter::kBlock * ConsensusMeter::kBlocksMax);
    for (std::uint64_t step = 1; step <= 10'000; ++step)
        if (meter.wants(step)) meter.add(step, one), meter.add(step, two);
    for (std::uint64_t step = 20'000; step < 90'000; ++step) meter.add(step, one);  // alone
    CHECK(meter.distances().size() <= ConsensusMeter::kStepsMax);
    CHECK(meter.distances().size() > ConsensusMeter::kStepsMax / 4);
    for (const auto& [step, distance] : meter.distances()) CHECK(distance == doctest::Approx(1));
}

TEST_CASE("the report of a gossip run tells of its graph, its peers and its consensus") {
    auto simulation = make(load(gossip_run(8, 12), {"topology.graph=ring"}));
    const auto outcome = simulation->run();
    REQUIRE(outcome);
    const auto report = report_of(*simulation, *outcome);
    CHECK(report.topology.node_count == 8);
    CHECK(report.topology.edges.size() == 8);
    CHECK_FALSE(report.topology.directed);
    CHECK(report.topology.spectral_gap == doctest::Approx(1 - (1 + std::sqrt(2.0)) / 3));
    REQUIRE(report.consensus.points().size() >= 12);
    CHECK(report.consensus.points().size() == report.consensus_predicted.points().size());
    CHECK(report.consensus.points().front().value.mean > 0);
    CHECK(report.consensus_predicted.points().front().value.mean ==
          doctest::Approx(report.consensus.points().front().value.mean));
    REQUIRE(report.accuracy.size() == 1);
    const auto& last = report.accuracy.front().points().back().value;
    CHECK(last.least <= last.lower_quartile);
    CHECK(last.upper_quartile <= last.greatest);
    REQUIRE(report.peers.size() == 8);
    std::size_t samples = 0;
    for (const auto& peer : report.peers) {
        CHECK(peer.accuracy > 0.5);
        for (const auto count : peer.label_counts) samples += count;
    }
    CHECK(samples == 2000);
    CHECK(report.trace_hash.size() == 16);
}

TEST_CASE("the report of a federated run tells of its clients beside the global model") {
    auto simulation = make(load(federated_run(6, 4), {"federated.client_evaluate_every=1",
                                                      "simulation.faults=3s kill 2 for 2s",
                                                      "simulation.samples_per_second=200"}));
    const auto outcome = simulation->run();
    REQUIRE(outcome);
    const auto report = report_of(*simulation, *outcome);
    CHECK(report.accuracy.size() == 2);
    CHECK(report.topology.node_count == 0);
    REQUIRE(report.loss.size() == 2);
    CHECK(report.loss.back().points().front().value.least <
          report.loss.back().points().front().value.greatest);
    std::set<std::string> kinds;
    for (const auto& event : report.events) kinds.insert(event.kind);
    CHECK(kinds.contains("fault"));

    // Who was killed was away, and nobody does two things at once.
    const auto& rows = report.timeline.rows();
    REQUIRE(rows.size() >= 6);
    double away = 0, trained = 0;
    for (const auto& row : rows)
        for (std::size_t i = 1; i < row.size(); ++i) CHECK(row[i].begin >= row[i - 1].end - 1e-9);
    for (const auto& span : rows[2]) {
        if (span.what == telemetry::Activity::away && span.begin > 2.9)
            away += span.end - span.begin;
        if (span.what == telemetry::Activity::train) trained += span.end - span.begin;
    }
    CHECK(away == doctest::Approx(2).epsilon(0.01));
    CHECK(trained > 1);
}
