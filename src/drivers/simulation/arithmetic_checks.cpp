#include "drivers/simulation/arithmetic_checks.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "gossamer/federated/config.hpp"
#include "gossamer/gossip/algorithm.hpp"
#include "protocol/gossip/config.hpp"

namespace gossamer::simulation {

namespace {

constexpr std::size_t kSpans = 4, kWidth = 4, kStepsKept = 64;
constexpr double kRounding = 4e-7;  // some units of float's last place

double largest_of(const std::vector<double>& x) {
    double most = 0;
    for (double v : x) most = std::max(most, std::abs(v));
    return most;
}

bool doubly_stochastic(const topology::Schedule& schedule) {
    for (std::uint64_t phase = 0; phase < schedule.period(); ++phase) {
        std::vector<std::uint64_t> columns(schedule.place_count());
        for (std::uint32_t i = 0; i < schedule.place_count(); ++i) {
            columns[i] +=
                static_cast<std::uint64_t>(schedule.self_weight(i, phase) * topology::kWeightOne);
            for (const auto& n : schedule.in_neighbours(i, phase)) columns[n.place] += n.units;
        }
        if (std::ranges::any_of(columns, [](auto c) { return c != topology::kWeightOne; }))
            return false;
    }
    return true;
}

}  // namespace

Probe::Probe(std::size_t count) : count_(count) {
    const std::size_t blocks = (count + codec::kBlock - 1) / codec::kBlock;
    const std::size_t spans = std::min(blocks, kSpans);
    for (std::size_t i = 0; i < spans; ++i)
        firsts_.push_back(i * (blocks - 1) / std::max<std::size_t>(spans - 1, 1) * codec::kBlock);
    if (count > 0) width_ = std::min(spans == 1 ? kSpans * kWidth : kWidth, count - firsts_.back());
}

std::vector<double> Probe::of(std::span<const float> values) const {
    std::vector<double> out(firsts_.size() * width_);
    each([&](std::size_t i, std::size_t k) { out[i] = values[k]; });
    return out;
}

std::vector<double> Probe::of(const tensor::Model& model) const {
    std::vector<double> out;
    std::vector<float> some(width_);
    for (auto first : firsts_) {
        model.read(first, some);
        out.insert(out.end(), some.begin(), some.end());
    }
    return out;
}

std::optional<std::vector<double>> Probe::of(const codec::Codec& codec, ByteView encoded) const {
    if (!codec.check(encoded, count_)) return std::nullopt;
    std::vector<double> out;
    std::vector<float> some(width_);
    for (auto first : firsts_) {
        codec.decode(some, encoded, count_, first);
        out.insert(out.end(), some.begin(), some.end());
    }
    return out;
}

std::optional<double> codec_error(std::string_view name) {
    if (name == "f32") return 0.0;
    if (name == "f16") return 0x1p-10;
    if (name == "bf16") return 0x1p-7;
    return std::nullopt;
}

// ---- mixtures -----------------------------------------------------------------------------------

MixChecks::MixChecks(const Scenario& scenario)
    : scenario_(scenario), probe_(scenario.learning().layout()->parameter_count()) {
    if (scenario.federated()) return;
    mixes_.resize(scenario.places());
    const auto config = gossip::gossip_config(scenario.config());
    error_ = codec_error(config.codec);
    auto algorithm = gossip::make_algorithm(config.algorithm, scenario.config(),
                                            scenario.extensions().algorithms);
    mean_kept_ = algorithm && (*algorithm)->contract().preserves_mean && scenario.schedule() &&
                 doubly_stochastic(*scenario.schedule()) &&
                 scenario.run().peers == scenario.peers();
}

AfterJob MixChecks::before(std::uint32_t place, const job::MixJob& job) {
    auto mix = std::make_shared<Mix>();
    mix->own = mix->low = mix->high = probe_.of(job.self);
    mix->weight_sum = job.self_weight;
    mix->mean = mix->own;
    for (auto& x : mix->mean) x *= job.self_weight;
    for (const auto& input : job.inputs) {
        auto codec = scenario_.learning().codecs()->find(input.codec);
        auto heard = codec ? probe_.of(**codec, input.payload.bytes()) : std::nullopt;
        if (!heard) return {};  // left out by name
        mix->weight_sum += input.weight;
        for (std::size_t i = 0; i < heard->size(); ++i) {
            mix->low[i] = std::min(mix->low[i], (*heard)[i]);
            mix->high[i] = std::max(mix->high[i], (*heard)[i]);
            mix->mean[i] += input.weight * (*heard)[i];
        }
    }
    mixes_[place] = mix;
    return [this, mix](const job::Job& any, bool done) {
        const auto* mixed = std::get_if<job::MixJob>(&any);
        if (!done || !mixed || !mixed->out.filled()) return;
        mix->out = probe_.of(mixed->out);
        mix->done = true;
    };
}

std::string MixChecks::wrong_in(const Mix& mix) const {
    if (!(std::abs(mix.weight_sum - 1) <= 1e-6))
        return fmt::format("the weights of a mixture sum to {} instead of 1", mix.weight_sum);
    const double most = std::max(largest_of(mix.low), largest_of(mix.high));
    for (std::size_t i = 0; i < mix.out.size(); ++i) {
        const double slack = most * kRounding + 1e-37;
        if (!(mix.out[i] >= mix.low[i] - slack && mix.out[i] <= mix.high[i] + slack))
            return fmt::format("a mixed value, {}, lies outside of what was mixed, {} to {}",
                               mix.out[i], mix.low[i], mix.high[i]);
        if (!(std::abs(mix.out[i] - mix.mean[i]) <= slack))
            return fmt::format("a mixed value is {} instead of {}", mix.out[i], mix.mean[i]);
    }
    return {};
}

std::string MixChecks::on_mixed(const message::Mixed& notice, const std::shared_ptr<void>& taken) {
    const auto mix = std::static_pointer_cast<Mix>(taken);
    newest_ = std::max(newest_, notice.step);
    if (notice.mixed.empty() || !mix || !mix->done || !notice.left_out.empty())
        steps_[notice.step].spoilt = true;
    while (steps_.size() > kStepsKept) steps_.erase(steps_.begin());
    if (notice.mixed.empty() || !mix || !mix->done) return {};
    if (auto wrong = wrong_in(*mix); !wrong.empty()) return wrong;
    return notice.left_out.empty() ? add_to_step(notice, *mix) : std::string();
}

std::string MixChecks::add_to_step(const message::Mixed& notice, const Mix& mix) {
    auto& step = steps_[notice.step];
    if (step.before.empty()) {
        step.before.resize(mix.own.size());
        step.after.resize(mix.own.size());
    }
    for (std::size_t i = 0; i < mix.own.size(); ++i) {
        step.before[i] += mix.own[i];
        step.after[i] += mix.out[i];
        step.largest = std::max({step.largest, std::abs(mix.low[i]), std::abs(mix.high[i])});
    }
    if (++step.mixed < scenario_.peers()) return {};
    const Step whole = std::move(step);
    steps_.erase(notice.step);
    if (whole.spoilt || !mean_kept_ || !error_ || notice.step <= spoilt_until_) return {};
    const double n = scenario_.peers(), slack = whole.largest * (kRounding + *error_) + 1e-37;
    for (std::size_t i = 0; i < whole.before.size(); ++i)
        if (!(std::abs(whole.after[i] - whole.before[i]) <= n * slack))
            return fmt::format(
                "the mean of all models moved from {} to {} in mixing, though "
                "nobody missed anything",
                whole.before[i] / n, whole.after[i] / n);
    return {};
}

void MixChecks::on_life(std::uint32_t place) {
    if (place < mixes_.size()) mixes_[place] = nullptr;
    spoilt_until_ = newest_ + 3;
}

// ---- sums ---------------------------------------------------------------------------------------

SumChecks::SumChecks(const Scenario& scenario)
    : scenario_(scenario), probe_(scenario.learning().layout()->parameter_count()) {
    if (!scenario.federated()) return;
    const auto config = federated::federated_config(scenario.config());
    error_ = codec_error(config.codec);
    plain_mean_ = config.strategy == "fed_avg" &&
                  scenario.config().real("federated.fed_avg.server_rate") == 1;
    steps_ = std::max(1u, config.local_steps);
}

AfterJob SumChecks::before(const job::AccumulateJob& job, std::uint64_t round,
                           std::span<const float> base, std::optional<std::uint32_t> client) {
    if (job.sum.key() != sum_.key()) {
        sum_ = job.sum;
        terms_.clear();
        base_ = base.empty() ? std::vector<double>{} : probe_.of(base);
    }
    if (!client) wrong_ = fmt::format("an update of {}, no client", job.from.short_string());
    auto& kept = terms_[job.from];
    if (kept && kept->done)
        wrong_ = fmt::format("a second update of {} was counted", job.from.short_string());
    kept = std::make_shared<Term>();
    kept->weight = job.weight;
    if (auto codec = scenario_.learning().codecs()->find(job.codec))
        if (auto delta = probe_.of(**codec, job.update.bytes())) kept->delta = std::move(*delta);
    if (client && wrong_.empty()) wrong_ = wrong_delta(*kept, *client, round);
    return [term = kept](const job::Job&, bool done) { term->done = done; };
}

// Quadratics say what a client must have learned from this base.
std::string SumChecks::wrong_delta(const Term& term, std::uint32_t client,
                                   std::uint64_t round) const {
    const auto* q = scenario_.quadratic();
    if (!q || base_.empty() || term.delta.empty() || !error_) return {};
    const auto& config = scenario_.world().quadratic;
    const double rate = config.steps == 0 || round <= config.steps ? config.rate : 0;
    const auto optimum = q->optimum(client);
    std::string wrong;
    probe_.each([&](std::size_t i, std::size_t k) {
        double x = base_[i];
        for (std::uint32_t s = 0; s < steps_; ++s)
            x -= rate * q->eigenvalues()[k] * (x - optimum[k]);
        const double expected = x - base_[i];
        const double slack = (std::abs(base_[i]) + std::abs(x)) * 2 * kRounding +
                             std::abs(expected) * *error_ + 1e-7 * (*error_ > 0) + 1e-37;
        if (wrong.empty() && !(std::abs(term.delta[i] - expected) <= slack))
            wrong = fmt::format(
                "an update of peer {} moves a value by {}; from the model of this round it must be "
                "{}",
                client, term.delta[i], expected);
    });
    return wrong;
}

std::string SumChecks::wrong() { return std::exchange(wrong_, {}); }

std::string SumChecks::on_finished(const message::RoundFinished& notice,
                                   std::span<const float> model) {
    const auto terms = std::exchange(terms_, {});
    if (terms.empty()) return {};
    double weights = 0;
    std::vector<double> mean(base_.size());
    std::size_t counted = 0;
    for (const auto& [peer, term] : terms) {
        const bool accepted = std::ranges::find(notice.accepted, peer) != notice.accepted.end();
        if (accepted != term->done)
            return fmt::format("the update of {} is {} but was {}", peer.short_string(),
                               accepted ? "accepted" : "not accepted",
                               term->done ? "added" : "not added");
        if (!term->done) continue;
        ++counted;
        weights += term->weight;
        for (std::size_t i = 0; i < mean.size() && i < term->delta.size(); ++i)
            mean[i] += term->weight * term->delta[i];
    }
    if (counted != notice.accepted.size())
        return fmt::format("{} updates were accepted, {} added", notice.accepted.size(), counted);
    if (!plain_mean_ || base_.empty() || model.empty() || weights <= 0) return {};
    const auto next = probe_.of(model);
    for (std::size_t i = 0; i < next.size(); ++i) {
        const double expected = base_[i] + mean[i] / weights;
        const double slack = (std::abs(base_[i]) + std::abs(expected)) * kRounding + 1e-9;
        if (!(std::abs(next[i] - expected) <= slack))
            return fmt::format("a value of the next model is {}, base and mean update make {}",
                               next[i], expected);
    }
    return {};
}

void SumChecks::on_life() {
    terms_.clear();
    sum_ = {};
}

}  // namespace gossamer::simulation
