// Faults that must be told from what is right: altered bytes, repeated offers, broken transfers,
// trainers that never answer; and what the campaigns found, each as a small world.
#include <algorithm>

#include "drivers/simulation/origin_checks.hpp"
#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

std::string with_faults(std::initializer_list<const char*> faults) {
    std::string text;
    for (const char* fault : faults)
        text += (text.empty() ? "" : ",") + ("\"" + std::string(fault)) + "\"";
    return "simulation.faults=[" + text + "]";
}

tensor::Payload some_payload(float value) {
    auto buffer = tensor::BufferPool::create(0)->take_floats(4);
    std::ranges::fill(buffer.floats(), value);
    return tensor::Payload::of(std::move(buffer));
}

}  // namespace

TEST_CASE("rounds stay whole among altered models and packets, repeats and broken transfers") {
    const auto calm = run(federated_run(5, 6), {"simulation.samples_per_second=500"});
    for (const char* fault :
         {"1s damage all | aggregator by 0.3 for 8s", "1s cut all | aggregator by 0.1 for 8s",
          "1s corrupt all | aggregator by 0.02 for 8s", "1s echo all by 4 for 20s",
          "1s echo aggregator by 2 for 20s"}) {
        INFO(std::string(fault));
        const auto o = run(federated_run(5, 6), {"simulation.samples_per_second=500",
                                                 "federated.quorum=1", with_faults({fault})});
        CHECK(o.broken.empty());
        CHECK(o.rounds == 6);
        CHECK(o.trace_hash != calm.trace_hash);
        // Who has no link when a round is planned is not in it: then the model is another one.
        const bool links_break = std::string(fault).find(" c") != std::string::npos;
        if (!links_break) CHECK(o.model == calm.model);
    }
}

TEST_CASE("gossip goes on among altered models, broken transfers and repeated offers") {
    for (const char* fault : {"1s damage all | all by 0.3 for 5s", "1s cut all | all by 0.1 for 5s",
                              "1s corrupt all | all by 0.01 for 5s", "1s echo all by 2 for 9s"}) {
        INFO(std::string(fault));
        const auto o =
            run(gossip_run(6, 40), {"simulation.samples_per_second=500", with_faults({fault})});
        CHECK(o.broken.empty());
        CHECK(o.end == "40 rounds are complete");
        CHECK(o.consensus < 0.05);
    }
}

TEST_CASE("a round goes on without a client whose trainer hangs, and takes it back") {
    auto simulation = make(
        load(federated_run(5, 8), {"simulation.samples_per_second=500", "federated.patience_min=1s",
                                   "federated.quorum=0.5", with_faults({"3s hang 2 for 30s"})}));
    const auto o = simulation->run();
    REQUIRE(o);
    CHECK(o->broken.empty());
    CHECK(o->rounds == 8);
    std::uint32_t least = 5;
    for (const auto& [round, row] : simulation->chronicle().rows())
        if (round > 0) least = std::min(least, row.accepted);
    CHECK(least == 4);
    for (PlaceIndex p = 0; p < 6; ++p) CHECK(simulation->world().has_ended(p));
}

TEST_CASE("real bytes tell altered ones as the simulator says, in the same trace") {
    const auto faults = with_faults(
        {"1s damage all | aggregator by 0.3 for 8s", "2s cut all | aggregator by 0.05 for 8s",
         "3s corrupt all | aggregator by 0.02 for 8s", "1s echo all by 2 for 9s"});
    const std::vector<std::string> sets = {"simulation.samples_per_second=500", faults};
    const auto handles = run(federated_run(4, 5), sets),
               bytes = run(federated_run(4, 5), sets, {.wire = true});
    CHECK(handles.trace_hash == bytes.trace_hash);
    CHECK(handles.bytes_sent == bytes.bytes_sent);
    CHECK(handles.broken.empty());
}

TEST_CASE("power that goes takes along what no disk had, and nothing that was acknowledged") {
    const auto calm = run(federated_run(4, 8), {"simulation.samples_per_second=500"});
    const auto rough =
        run(federated_run(4, 8),
            {"simulation.samples_per_second=500",
             with_faults({"2s power aggregator for 1s", "5s power aggregator for 1s"})});
    CHECK(rough.broken.empty());
    CHECK(rough.model == calm.model);
}

TEST_CASE("a payload that its sender did not offer for this round is told") {
    const auto scenario = load(federated_run(3, 2));
    OriginChecks origins(*scenario);
    const auto good = some_payload(1), other = some_payload(1);
    job::Offer offer{.manifest = {.kind = message::TransferKind::update, .round = 4},
                     .payload = good};
    origins.on_offer(1, offer);
    auto model = tensor::Model::promise(scenario->learning().layout());
    auto buffer = scenario->learning().pool()->take(model.layout()->byte_count());
    std::ranges::fill(buffer.floats(), 0.5f);
    model.fill(std::move(buffer));
    origins.on_train(1, 4, origins.name_of(job::TrainJob{.start = model, .round = 4}));
    job::AccumulateJob add{.sum = job::Sum::fresh(4), .update = good};
    CHECK(origins.of_update(1, add, 4, model.values()).empty());
    CHECK(origins.of_update(1, add, 5, model.values()).find("offered for 4") != std::string::npos);
    CHECK(origins.of_update(2, add, 4, model.values()).find("never offered") != std::string::npos);
    add.update = other;  // the same bytes, but not those
    CHECK(origins.of_update(1, add, 4, model.values()).find("never offered") != std::string::npos);
    add.update = good, add.sum = job::Sum::fresh(4);
    std::vector<float> newer(model.values().begin(), model.values().end());
    newer[0] += 1;
    CHECK(origins.of_update(1, add, 4, newer).find("another model") != std::string::npos);
}

// ---- what campaigns found -----------------------------------------------------------------------

TEST_CASE("training that a peer gave up does not keep it from going on") {
    // Peer 2 is a hundred times slower for a while: it takes a neighbour's model, and from then on
    // is as quick as all others, though what it gave up would have taken 200 s.
    auto simulation = make(
        load(gossip_run(6, 60), {"simulation.samples_per_second=500", "gossip.evaluate_every=0",
                                 with_faults({"4s slow 2 by 500 for 6s"})}));
    const auto o = simulation->run();
    REQUIRE(o);
    CHECK(o->broken.empty());
    CHECK(o->virtual_seconds < 100);
    CHECK(o->consensus < 0.05);
}

TEST_CASE("what is on a disk when a process dies does not depend on the number of threads") {
    const std::vector<std::string> sets = {
        "simulation.samples_per_second=500", "simulation.disks=all", "gossip.checkpoint_every=1",
        with_faults({"3s kill 1 for 1s", "3500ms kill 2,4 for 2s", "5001ms kill 0-5 for 1s"})};
    const auto one = run(gossip_run(6, 30), sets, {.threads = 1}),
               two = run(gossip_run(6, 30), sets, {.threads = 2});
    CHECK(one.trace_hash == two.trace_hash);
    CHECK(one.broken.empty());
}

TEST_CASE("who left for a time comes back, though it is asked to before it is gone") {
    auto simulation =
        make(load(gossip_run(5, 60), {"simulation.samples_per_second=500",
                                      with_faults({"3s leave 1 for 1ms", "6s leave 2 for 4s"})}));
    const auto o = simulation->run();
    REQUIRE(o);
    CHECK(o->broken.empty());
    for (PlaceIndex p = 0; p < 5; ++p) CHECK(simulation->world().has_ended(p));
    CHECK(simulation->world().counts().restarts == 2);
}

TEST_CASE("the end of a connection does not overtake what was said before it on a thin line") {
    // Models queue at the receivers' lines when their senders leave; what came before counts.
    const auto o = run(federated_run(6, 3), {"simulation.down=3kB", "simulation.server_rate=3kB",
                                             with_faults({"40s leave 1,3 for 5s"})});
    CHECK(o.broken.empty());
    CHECK(o.rounds == 3);
}
