// A client's core by hand: what it takes a model for that came ahead of its name.
#include <doctest/doctest.h>

#include <algorithm>

#include "protocol/federated/federated_client.hpp"

using namespace gossamer;
using namespace gossamer::federated;

namespace {

const PeerId kAggregator = PeerId::of_number(1000);

struct Client {
    Client() {
        auto setup = std::make_shared<ClientSetup>();
        tensor::Layout layout;
        layout.add("weight", {4});
        setup->layout = std::make_shared<tensor::Layout>(layout);
        setup->run.name = "run";
        layout_ = setup->layout;
        core.emplace(std::move(setup));
        tell([&](job::Turn& t) { core->on_start(t); });
    }
    template <class F>
    job::Turn tell(F&& what) {
        job::Turn t{Instant{1'000'000'000}, WallTime{0}, RunSeed{1}, ids};
        what(t);
        return t;
    }
    void link() {
        tell([&](job::Turn& t) { core->on_joined(t, kAggregator, message::Join{}); });
    }
    void unlink() {
        tell([&](job::Turn& t) { core->on_link(t, kAggregator, false); });
    }
    job::Turn start(std::uint64_t round, const Digest256& base) {
        message::RoundStart m;
        m.run = message::run_id("run"), m.round = round, m.base = base;
        return tell([&](job::Turn& t) { core->on_message(t, kAggregator, m); });
    }
    // A model arrives whose identity its offer did not know yet, and is decoded.
    job::Turn unnamed_model(std::uint64_t round) {
        const job::TransferId id{++transfers};
        message::Manifest m;
        m.run = message::run_id("run"), m.kind = message::TransferKind::global_model;
        m.round = round, m.byte_count = 16, m.layout = layout_->digest();
        auto arrived = tell([&](job::Turn& t) {
            core->on_transfer(t, kAggregator, id, message::TransferOffered{m});
            auto pool = tensor::BufferPool::create(0);
            core->on_transfer(
                t, kAggregator, id,
                message::TransferArrived{m, tensor::Payload::of(pool->take_floats(4))});
        });
        return arrived;
    }
    static bool trains(const job::Turn& t) {
        return std::ranges::any_of(t.jobs, [](const job::JobOrder& order) {
            return std::holds_alternative<job::TrainJob>(order.job);
        });
    }

    job::TurnIds ids;
    std::uint64_t transfers = 0;
    tensor::LayoutRef layout_;
    std::optional<FederatedClient> core;
};

}  // namespace

TEST_CASE("a model that comes ahead of its name is the one that this link names") {
    const auto one = digest256(as_bytes("one life's")), other = digest256(as_bytes("the next's"));
    Client client;
    client.link();
    CHECK_FALSE(Client::trains(client.start(3, one)));
    CHECK(Client::trains(client.unnamed_model(3)));

    // The aggregator is back without its disk, and asks for the round again, from another model.
    Client again;
    again.link();
    again.start(3, one);
    again.unlink();
    again.link();
    CHECK_FALSE(Client::trains(again.unnamed_model(3)));  // of which nobody has said what it is
    CHECK(Client::trains(again.start(3, other)));
}
