#include "drivers/simulation/origin_checks.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace gossamer::simulation {

namespace {

// A client has one update; others have some steps, and models for those who are behind.
constexpr std::size_t kMadeByClient = 2, kMadeByOthers = 12;

}  // namespace

OriginChecks::OriginChecks(const Scenario& scenario)
    : scenario_(scenario),
      probe_(scenario.learning().layout()->parameter_count()),
      places_(scenario.places()) {}

void OriginChecks::on_offer(std::uint32_t place, const job::Offer& offer) {
    auto& made = places_[place].made;
    const Made one{offer.manifest.kind, offer.manifest.round, offer.payload.key()};
    const auto same = [&](const Made& m) { return m.is(one.kind, one.round, one.payload); };
    if (std::any_of(made.rbegin(), made.rend(), same)) return;
    const bool client = scenario_.federated() && place != scenario_.peers();
    if (made.size() == (client ? kMadeByClient : kMadeByOthers)) made.erase(made.begin());
    made.push_back(one);
}

std::uint64_t OriginChecks::name_of(std::span<const float> model) const {
    if (model.empty()) return 0;
    const auto some = probe_.of(model);
    return digest128(std::as_bytes(std::span(some))).low | 1;
}

std::uint64_t OriginChecks::name_of(const job::TrainJob& job) const {
    return scenario_.federated() ? name_of(job.start.values()) : 0;
}

void OriginChecks::on_train(std::uint32_t place, std::uint64_t round, std::uint64_t start) {
    places_[place].trained_round = round;
    places_[place].trained_from = start;
}

bool OriginChecks::Made::is(message::TransferKind k, std::uint64_t r, const void* p) const {
    return kind == k && round == r && payload == p;
}

// Empty when `from` offered this payload so, else what it did. One model may be offered for several
// steps, and its address is used again once it is gone.
std::string OriginChecks::offered(std::uint32_t from, message::TransferKind kind,
                                  std::uint64_t round, const void* payload) const {
    const auto& made = places_[from].made;
    std::string others;
    for (auto it = made.rbegin(); it != made.rend(); ++it) {
        if (it->is(kind, round, payload)) return {};
        if (it->payload == payload) others += fmt::format(" {}", it->round);
    }
    // A receiver that is slow may come so late that the sender's offer is forgotten here.
    if (made.size() >= kMadeByOthers && made.front().round > round) return {};
    if (others.empty())
        return fmt::format("what is taken as peer {}'s of round {} it never offered", from, round);
    return fmt::format("what is taken as peer {}'s of round {} it offered for{}", from, round,
                       others);
}

std::string OriginChecks::of_update(std::uint32_t from, const job::AccumulateJob& job,
                                    std::uint64_t round, std::span<const float> base) {
    if (job.sum.key() != sum_.key()) {
        sum_ = job.sum;
        base_ = name_of(base);
    }
    auto wrong = offered(from, message::TransferKind::update, round, job.update.key());
    if (!wrong.empty()) return wrong;
    const auto& client = places_[from];
    if (client.trained_round != round)
        return fmt::format("peer {}'s update counts, but it trains round {}", from,
                           client.trained_round);
    if (base_ != 0 && client.trained_from != base_)
        return fmt::format("peer {} trained from another model than that of this round", from);
    return {};
}

std::string OriginChecks::of_mixed(std::uint32_t from, const job::MixInput& input,
                                   std::uint64_t step) const {
    return offered(from, message::TransferKind::gossip_model, step, input.payload.key());
}

std::string OriginChecks::of_copy(std::uint32_t from, const job::DecodeJob& job) const {
    if (places_[from].made.size() >= kMadeByOthers) return {};  // it may be forgotten here
    for (const auto& made : places_[from].made)
        for (auto kind : {message::TransferKind::global_model, message::TransferKind::catch_up})
            if (made.is(kind, made.round, job.payload.key())) return {};
    return "a model is taken that its sender never offered";
}

}  // namespace gossamer::simulation
