// When a run is over, and whether it reached what it was for.
#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

const char* const kSlow = "simulation.samples_per_second=500";

Outcome with_fault(const std::string& text, const std::string& fault,
                   std::vector<std::string> sets = {}) {
    sets.insert(sets.end(), {kSlow, "simulation.faults=[\"" + fault + "\"]"});
    return run(text, std::move(sets));
}

}  // namespace

TEST_CASE("a run whose aggregator has finished does not wait for those that are away") {
    const auto calm = run(federated_run(8, 6), {kSlow, "federated.quorum=0.3"});
    for (const char* away : {"8s kill 2 for 10h", "8s sleep 2,3 for 10h", "8s power 2 for 10h"}) {
        const auto o = with_fault(federated_run(8, 6), away, {"federated.quorum=0.3"});
        INFO(std::string(away));
        CHECK(o.end == calm.end);
        CHECK(o.reached);
        CHECK(o.virtual_seconds < 400);  // an aggregator waits a while for whoever may come back
        CHECK(o.bytes_sent < 2 * calm.bytes_sent);
    }
}

TEST_CASE("who comes back when all others have left is not waited for") {
    for (const auto& text : {federated_run(6, 10), gossip_run(6, 30)}) {
        const auto calm = run(text, {kSlow, "federated.quorum=0.3"});
        const auto o = with_fault(text, "5s kill 2 for 90s", {"federated.quorum=0.3"});
        CHECK(o.end == calm.end);
        CHECK(o.reached);
        CHECK(o.virtual_seconds < 400);
        CHECK(o.broken.empty());
    }
}

TEST_CASE("a gossip run of devices that come and go ends with those that are there") {
    const auto o = run(gossip_run(12, 20), {kSlow, "simulation.availability=churn",
                                            "simulation.churn_up=1m", "simulation.churn_down=20s"});
    CHECK(o.end == "20 rounds are complete");
    CHECK(o.reached);
    CHECK(o.virtual_seconds < 400);
}

TEST_CASE("a run that is cut off has not reached its end, and time does not go beyond it") {
    for (const auto& text : {federated_run(4, 100), gossip_run(4, 100)}) {
        const auto o = run(text, {kSlow, "simulation.time_max=9s"});
        CHECK(o.end == "the virtual time is up: 9s");
        CHECK_FALSE(o.reached);
        CHECK(o.virtual_seconds <= 9);
        CHECK(o.virtual_seconds > 7);
        // Training alone takes 22 s here; what began before must not carry time along.
        const auto long_step = run(text, {"simulation.samples_per_second=50", kSlow,
                                          "simulation.latency=8s", "simulation.time_max=9s"});
        CHECK(long_step.virtual_seconds <= 9);
    }
}

TEST_CASE("a run that nobody is left of has reached nothing") {
    const auto all = with_fault(gossip_run(4, 50), "5s kill all");
    CHECK_FALSE(all.reached);
    CHECK(all.end == "nobody is left to go on");
    CHECK_FALSE(with_fault(federated_run(4, 50), "5s kill all,aggregator").reached);
}

TEST_CASE("a later life replaces what an earlier one said of the end") {
    CHECK(with_fault(gossip_run(6, 60), "8s leave 3 for 3s").reached);
    CHECK(with_fault(federated_run(4, 20), "8s leave aggregator for 3s").reached);
    const auto gone = with_fault(gossip_run(6, 40), "8s leave 3");  // it need not end
    CHECK(gone.reached);
    CHECK(gone.end == "40 rounds are complete");
}

TEST_CASE("a run that misses its target accuracy has not reached its goal") {
    for (const auto& text : {federated_run(4, 3), gossip_run(4, 6)}) {
        const auto missed =
            run(text, {"run.target_accuracy=0.9999", "training.learning_rate=0.000001"});
        CHECK_FALSE(missed.reached);
        CHECK(missed.end.find("complete; the accuracy missed the target of 0.9999") !=
              std::string::npos);
        const auto hit = run(text, {"run.target_accuracy=0.4"});
        CHECK(hit.reached);
        CHECK(hit.end.find("missed") == std::string::npos);
        CHECK(run(text, {"training.learning_rate=0.000001"}).reached);  // none was set
    }
}
