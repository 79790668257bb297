// What a random world is made of.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "drivers/simulation/campaign.hpp"
#include "gossamer/federated/strategy.hpp"
#include "gossamer/gossip/algorithm.hpp"

namespace gossamer::simulation {

namespace {

class Draw {
public:
    explicit Draw(std::uint64_t seed) : rng_(stream({seed}, Purpose::scenario, 0xCA3FA167)) {}
    bool chance(double p) { return rng_.uniform() < p; }
    std::uint64_t whole(std::uint64_t least, std::uint64_t most) {
        return least + rng_.below(most - least + 1);
    }
    double real(double least, double most) { return least + (most - least) * rng_.uniform(); }
    double scale(double least, double most) {  // even in the logarithm
        return least * portable_exp(portable_log(most / least) * rng_.uniform());
    }
    template <class T>
    const T& one(const std::vector<T>& of) {
        return of[rng_.below(of.size())];
    }

private:
    RngStream rng_;
};

struct Pace {
    const char* profile;
    double step, quiet;  // seconds: of training; after which views must be right
    double latency_least, latency_most;
};
// quiet: as Invariants reckons it, and a little more.
constexpr Pace kPaces[] = {
    {"local", 0.5, 30, 0.0005, 0.01}, {"lan", 1.5, 80, 0.001, 0.04}, {"wan", 5, 260, 0.02, 0.25}};

// A world while it is drawn.
struct Sketch {
    Draw draw;
    Pace pace{};
    std::uint64_t peers = 2, rounds = 0, seed = 0, local_steps = 0;
    bool federated = false, storm = false, nat = false;
    double calm = 0;  // seconds after which nothing goes wrong any more
    std::string text;

    template <class... A>
    void line(fmt::format_string<A...> form, A&&... args) {
        text += fmt::format(form, std::forward<A>(args)...) + "\n";
    }
};

std::string some_peers(Sketch& w) {
    auto& d = w.draw;
    const auto one = [&] {
        if (w.federated && d.chance(0.25)) return std::string("aggregator");
        return std::to_string(d.whole(0, w.peers - 1));
    };
    if (d.chance(0.6)) return one();
    if (d.chance(0.3)) return fmt::format("{}%", d.whole(10, 60));
    const auto first = d.whole(0, w.peers - 1);
    return fmt::format("{}-{}", first, d.whole(first, w.peers - 1));
}

// Two groups without anybody in common.
std::string two_sides(Sketch& w, const char* between) {
    auto& d = w.draw;
    const auto cut = d.whole(1, w.peers - (w.federated ? 0 : 1));
    const auto range = [](std::uint64_t a, std::uint64_t b) {
        return a == b ? std::to_string(a) : fmt::format("{}-{}", a, b);
    };
    std::string left = range(0, cut - 1), right;
    if (cut < w.peers) right = range(cut, w.peers - 1);
    if (w.federated && (right.empty() || d.chance(0.6)))
        right += (right.empty() ? "" : ",") + std::string("aggregator");
    if (d.chance(0.5)) std::swap(left, right);
    return left + between + right;
}

// Whose links a mishap strikes; here both may hold the same.
std::string whose_links(Sketch& w) {
    if (w.draw.chance(0.3)) return two_sides(w, " | ");
    return w.federated ? "all | aggregator" : "all | all";
}

std::string fault(Sketch& w) {
    auto& d = w.draw;
    const auto ms = [](double seconds) { return static_cast<std::uint64_t>(seconds * 1000) + 1; };
    const double at = d.real(0.1, 0.9) * w.calm;
    const double lasting = std::min(d.scale(0.1, w.calm / 2), w.calm - at);
    const auto start = fmt::format("{}ms ", ms(at));
    const auto until =
        w.storm && d.chance(0.15) ? std::string() : fmt::format(" for {}ms", ms(lasting));
    const auto by = d.whole(2, 20);
    const int jump = d.chance(0.5) ? 7200 : -7200;
    switch (d.whole(0, 17)) {
        case 0: return start + "kill " + some_peers(w) + until;
        case 1: return start + "power " + some_peers(w) + until;
        case 2: return start + "leave " + some_peers(w) + until;
        case 3: return start + "sleep " + some_peers(w) + until;
        case 4: return start + "freeze " + some_peers(w) + until;
        case 5: return start + "partition " + two_sides(w, " | ") + until;
        case 6: return start + "oneway " + two_sides(w, " > ") + until;
        case 7: return start + "clog " + two_sides(w, " | ") + until;
        case 8: return start + "reset " + two_sides(w, " | ");
        case 9:
            return fmt::format("{}slow {} by {} for {}ms", start, some_peers(w), by, ms(lasting));
        case 10: return fmt::format("{}clock {} by {}", start, some_peers(w), jump);
        case 11:
            return start + "disk-full " + some_peers(w) + fmt::format(" for {}ms", ms(lasting));
        case 12: return start + "disk-lost " + some_peers(w);
        case 13: return start + "hang " + some_peers(w) + until;
        case 14:
            return start + fmt::format("echo {} by {:.2f}", some_peers(w), d.scale(0.01, w.calm)) +
                   until;
        case 15:
            return start + fmt::format("cut {} by {:.3f}", whose_links(w), d.scale(0.02, 0.5)) +
                   until;
        case 16:
            return start +
                   fmt::format("corrupt {} by {:.4f}", whose_links(w), d.scale(0.001, 0.1)) + until;
        default:
            return start + fmt::format("damage {} by {:.2f}", whose_links(w), d.scale(0.05, 0.9)) +
                   until;
    }
}

// Faults that are worse together than each alone.
std::vector<std::string> combination(Sketch& w) {
    auto& d = w.draw;
    const auto ms = [](double seconds) { return static_cast<std::uint64_t>(seconds * 1000) + 1; };
    const double at = d.real(0.1, 0.6) * w.calm;
    const auto long_time = ms(d.real(0.2, 0.9) * (w.calm - at)), short_time = ms(d.scale(0.1, 10));
    const auto start = ms(at), soon = ms(at + d.real(0, 0.3) * (w.calm - at));
    const auto who =
        w.federated && d.chance(0.7) ? "aggregator" : std::to_string(d.whole(0, w.peers - 1));
    const auto links = whose_links(w);
    switch (d.whole(0, 6)) {
        case 0:  // begins again from nothing while others know better
            return {fmt::format("{}ms disk-lost {}", start, who),
                    fmt::format("{}ms kill {} for {}ms", start, who, short_time)};
        case 1:  // what was handed in comes again over a new link
            return {fmt::format("{}ms echo all by {:.2f} for {}ms", start,
                                d.scale(0.01, w.calm / 2), long_time),
                    fmt::format("{}ms cut {} by {:.2f} for {}ms", start, links, d.real(0.05, 0.4),
                                long_time)};
        case 2:  // updates of a life of the aggregator come in the next one
            return {fmt::format("{}ms echo all by {:.2f} for {}ms", start, d.scale(0.1, w.calm / 2),
                                long_time),
                    fmt::format("{}ms kill {} for {}ms", soon, who, short_time)};
        case 3:  // retries of retries
            return {fmt::format("{}ms damage {} by {:.2f} for {}ms", start, links, d.real(0.2, 0.8),
                                long_time),
                    fmt::format("{}ms cut {} by {:.2f} for {}ms", soon, links, d.real(0.02, 0.2),
                                long_time / 2)};
        case 4:  // some never answer, and who waits for them dies
            return {fmt::format("{}ms hang {} for {}ms", start, some_peers(w), long_time),
                    fmt::format("{}ms kill {} for {}ms", soon, who, short_time)};
        case 5:  // the same one again and again
            return {fmt::format("{}ms kill {} for {}ms", start, who, short_time),
                    fmt::format("{}ms power {} for {}ms", soon, who, short_time),
                    fmt::format("{}ms kill {} for {}ms", ms(0.9 * w.calm), who, short_time)};
        default:  // a disk that was full when the power went
            return {fmt::format("{}ms disk-full {} for {}ms", start, who, long_time),
                    fmt::format("{}ms power {} for {}ms", soon, who, short_time)};
    }
}

std::string graph(Sketch& w) {
    auto& d = w.draw;
    const auto n = w.peers;
    std::vector<std::string> fit = {
        "ring", "complete", "star", "chain", "one-peer-exponential", "exponential"};
    if ((n & (n - 1)) == 0) fit.push_back("hypercube");
    if (n % 2 == 0 && n >= 6) fit.push_back("torus");
    if (n >= 6 && n % 2 == 0) fit.push_back("random-regular");
    auto kind = d.one(fit);
    auto out = fmt::format("graph = \"{}\"\n", kind);
    if (kind == "torus") out += "rows = 2\n";
    if (kind == "random-regular") out += fmt::format("degree = {}\n", n >= 8 ? 4 : 3);
    return out;
}

void draw_network(Sketch& w) {
    auto& d = w.draw;
    w.line("latency = \"{}us\"",
           static_cast<std::uint64_t>(1e6 * d.scale(w.pace.latency_least, w.pace.latency_most)));
    const std::vector<std::string> distributions = {"fixed", "uniform", "exponential"};
    w.line("latency_distribution = \"{}\"", d.one(distributions));
    if (d.chance(0.5)) w.line("jitter = {:.2f}", d.real(0, 1));
    if (d.chance(0.4)) w.line("loss = {:.4f}", d.scale(0.001, 0.05));
    if (d.chance(0.3)) {
        const auto rate = [&] { return static_cast<std::uint64_t>(d.scale(200e3, 20e6)); };
        w.line("up = {}", rate());
        w.line("down = {}", rate());
        w.line("server_rate = {}", rate() * 4);
    }
    if (d.chance(0.3)) {
        const double part = d.real(0.1, 0.6);
        NetworkConfig config;
        config.nat_part = std::floor(part * 100) / 100;
        const Network network(config, {w.seed});
        // A gossip run needs somebody at its seeds, peers 0 to 2, who can be dialled.
        bool possible = w.federated;
        for (PlaceIndex p = 0; p < std::min<std::uint64_t>(w.peers, 3); ++p)
            possible = possible || !network.behind_nat(p);
        w.nat = possible;
        if (possible) w.line("nat = {:.2f}", config.nat_part);
    }
}

void draw_devices(Sketch& w, double samples) {
    auto& d = w.draw;
    w.line("samples_per_second = {:.3f}", samples / w.pace.step);
    // As slow as they are: evaluation goes on while other things happen.
    if (w.federated) w.line("server_samples_per_second = {:.3f}", samples / w.pace.step);
    if (d.chance(0.4)) w.line("speed_spread = {:.2f}", d.real(0, 0.6));
    if (d.chance(0.3)) {
        w.line("slow_part = {:.2f}", d.real(0.05, 0.3));
        w.line("slow_factor = {:.1f}", d.real(2, 8));
    }
    if (d.chance(0.3)) w.line("clock_error = \"{}s\"", d.whole(1, 600));
    if (d.chance(0.3)) w.line("clock_drift = {:.4f}", d.real(0, 0.001));
    const std::vector<std::string> disks = {"none", "aggregator", "all"};
    w.line("disks = \"{}\"", d.one(disks));
    if (w.storm && d.chance(0.5)) {
        w.line("availability = \"churn\"");
        w.line("churn_up = \"{}s\"", static_cast<std::uint64_t>(w.calm / 4) + 1);
        w.line("churn_down = \"{}s\"", static_cast<std::uint64_t>(w.calm / 20) + 1);
        w.line("churn_power = {}", d.chance(0.5));
    } else if (w.storm && d.chance(0.4)) {
        w.line("availability = \"diurnal\"");
        w.line("day = \"{}s\"", static_cast<std::uint64_t>(w.calm / d.real(1, 4)) + 2);
        w.line("asleep_part = {:.2f}", d.real(0.1, 0.7));
    }
}

void draw_learning(Sketch& w) {
    auto& d = w.draw;
    std::vector<std::string> codecs = {"f32", "f32", "f16", "bf16"};  // of whole models too
    if (w.federated) {
        std::vector<std::string> strategies;
        for (const auto& s : federated::built_in_strategies()) strategies.push_back(s.name);
        w.line("\n[federated]");
        w.line("strategy = \"{}\"", d.chance(0.6) ? "fed_avg" : d.one(strategies));
        codecs.insert(codecs.end(), {"int8", "sign", "top10", "top1"});
        w.line("codec = \"{}\"", d.one(codecs));
        w.line("fraction = {:.2f}", d.chance(0.5) ? 1.0 : d.real(0.3, 1));
        w.line("quorum = {:.2f}", d.real(0, 1));
        if (d.chance(0.3)) w.line("over_provision = {:.2f}", d.real(1, 1.5));
        w.line("staging = {}", d.whole(1, 4));
        w.line("attempts = 1000");  // bad luck alone must not end it
        w.line("round_max = \"5m\"");
        w.line("rejoin_wait = \"{}s\"", d.whole(2, 60));
        w.line("patience_min = \"{}ms\"", d.whole(500, 5000));
        w.line("local_steps = {}", w.local_steps);
    } else {
        std::vector<std::string> algorithms;
        for (const auto& a : gossip::built_in_algorithms()) algorithms.push_back(a.name);
        w.line("\n[gossip]");
        w.line("algorithm = \"{}\"", d.one(algorithms));
        w.line("codec = \"{}\"", d.one(codecs));
        w.line("patience = \"{}\"", w.pace.profile);
        w.line("evaluate_every = {}", d.whole(0, 5));
        w.line("checkpoint_every = {}", d.whole(1, 10));
        w.line("final_averaging_steps = {}", d.whole(0, 6));
        w.line("\n[topology]\n{}", graph(w));
    }
}

}  // namespace

DrawnWorld draw_world(std::uint64_t seed) {
    Sketch w{.draw = Draw(seed), .seed = seed};
    auto& d = w.draw;
    DrawnWorld out{.seed = seed};
    w.federated = d.chance(0.5);
    w.peers = d.chance(0.75) ? d.whole(2, 8) : d.whole(9, 24);
    w.pace = kPaces[d.whole(0, 2)];
    w.storm = d.chance(0.2);
    w.calm = w.pace.step * d.real(15, 60);
    // However fast, it has this many left when the faults stop.
    const auto extra = static_cast<std::uint64_t>(1.3 * w.pace.quiet / w.pace.step) + 10;
    w.rounds = static_cast<std::uint64_t>(w.calm / w.pace.step) + extra;
    out.calm_steps = extra / 2;
    out.must_end = !w.storm;

    w.local_steps = w.federated ? d.whole(0, 2) : 0;
    w.line("[simulation]");
    const auto kind = d.whole(0, 9);
    double samples = 1;
    if (kind < 5) {
        w.line("compute = \"quadratic\"");
        w.line("quadratic_dimension = {}", d.whole(1, 12));
        w.line("quadratic_condition = {:.1f}", d.real(1, 10));
        if (!w.federated) w.line("quadratic_steps = {}", w.rounds - out.calm_steps);
    } else if (kind < 8) {
        samples = 60;
        w.line("compute = \"cost\"");
        w.line("parameters = {}", static_cast<std::uint64_t>(d.scale(1, 20'000)));
    } else {
        samples = 40;
    }
    if (w.local_steps) samples = 10.0 * static_cast<double>(w.local_steps);  // batches of 10
    out.must_agree = kind < 5 && !w.federated && !w.storm;
    draw_network(w);
    draw_devices(w, samples);
    // Two behind NAT never exchange models: what is left of the graph may fall apart.
    out.must_agree = out.must_agree && !w.nat;
    // Slow devices take their time, and lost rounds are repeated.
    const double bound = w.calm + 30 * static_cast<double>(w.rounds) * w.pace.step + 1800;
    w.line("time_max = \"{}s\"",
           static_cast<std::uint64_t>(w.storm ? 4 * w.calm + w.pace.quiet : bound));
    w.line("faults = [");
    for (auto count = d.whole(0, 8); count > 0; --count) w.line("  \"{}\",", fault(w));
    for (auto count = d.whole(0, 2); count > 0; --count)
        for (const auto& f : combination(w)) w.line("  \"{}\",", f);
    w.line("]\n");
    w.line("[run]\nname = \"campaign-{}\"\nmode = \"{}\"\npeers = {}\nrounds = {}\nseed = {}", seed,
           w.federated ? "federated" : "gossip", w.peers, w.rounds, seed);
    draw_learning(w);
    if (kind >= 8)
        w.line(
            "\n[data]\nformat = \"synthetic\"\nsynthetic_train = {}\nsynthetic_test = 50\n\n"
            "[model]\nname = \"softmax-regression\"\n\n[training]\nbatch_size = 10",
            40 * w.peers);
    w.line("\n[membership]\nprofile = \"{}\"", w.pace.profile);
    out.text = std::move(w.text);
    return out;
}

}  // namespace gossamer::simulation
