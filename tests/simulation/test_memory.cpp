// What one more client costs a simulation: its node, both ends of its link, its row everywhere; and
// how many copies of models there are.
#include <doctest/doctest.h>

#include <malloc.h>

#include <algorithm>

#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;

namespace {

struct InUse {
    std::size_t idle = 0, most = 0;  // while the first of them train; while the last model goes out
};

InUse in_use(std::size_t clients) {
    auto simulation = testing::make(testing::load(
        testing::federated_run(clients, 2),
        {"simulation.compute=cost", "federated.evaluate_every=0",
         "federated.fraction=" + std::to_string(20.0 / static_cast<double>(clients))}));
    InUse bytes;
    while (simulation->chronicle().client_updates() == 0) REQUIRE(simulation->world().step());
    bytes.idle = mallinfo2().uordblks;
    while (simulation->world().step())
        bytes.most = std::max<std::size_t>(bytes.most, mallinfo2().uordblks);
    CHECK(simulation->chronicle().round() == 2);
    return bytes;
}

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose heaps are their own
TEST_CASE("a client that idles costs a few kilobytes, however many there are") {
    const auto few = in_use(500), many = in_use(2500);
    const auto idle = (many.idle - few.idle) / 2000, most = (many.most - few.most) / 2000;
    MESSAGE(idle << " bytes a client, " << most << " while the last model goes to all");
    CHECK(idle < 4 * 1024);  // after other tests more than alone
    CHECK(most < 7 * 1024);
    CHECK(idle > 512);  // it was counted at all
}
#endif

TEST_CASE(
    "peers of D-PSGD in step hold one copy of the model each, however many threads there are") {
    constexpr std::size_t kPeers = 200;
    for (const unsigned threads : {2u, 1u}) {
        CAPTURE(threads);
        const auto scenario = testing::load(
            testing::gossip_run(kPeers, 3),
            {"data.synthetic_train=4000", "model.name=mlp-200-200", "training.batch_size=10",
             "gossip.local_steps=1", "gossip.evaluate_every=0", "gossip.final_averaging_steps=0",
             "topology.graph=random-regular", "simulation.samples_per_second=100",
             "simulation.start_spread=0s"});
        const auto simulation = testing::make(scenario, {.threads = threads});
        const auto outcome = simulation->run();
        REQUIRE(outcome);
        CHECK(outcome->client_updates == kPeers * 3);
        const auto one = kPeers * scenario->learning().layout()->byte_count();
        const auto most = scenario->learning().pool()->usage().peak_bytes;
        const double copies = static_cast<double>(most) / static_cast<double>(one);
        MESSAGE(copies << " copies");
        CHECK(most >= one);
        CHECK(most <= one + one * 3 / 10);
    }
}
