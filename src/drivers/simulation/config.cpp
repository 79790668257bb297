#include "drivers/simulation/config.hpp"

#include <algorithm>

namespace gossamer::simulation {

namespace {

// In seconds. What comes again and again takes some time, or a world would never get beyond it; and
// sums of the longest times still fit.
constexpr double kTimeLeast = 1e-3, kTimeMost = 1e9;

OptionTable world_options() {
    return {
        {.key = "simulation.summary",
         .kind = OptionKind::text,
         .fallback = std::string(),
         .reason = "One line about the scenario, for `gossamer-sim list`."},
        {.key = "simulation.peers",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{0},
         .unit = "peers",
         .reason = "How many peers the world holds; 0: run.peers, so that the run waits for all.",
         .least = 0,
         .most = 1e6},
        {.key = "simulation.compute",
         .kind = OptionKind::choice,
         .fallback = std::string("real"),
         .reason = "real trains on real data; cost replaces training by its duration, for protocol "
                   "studies; quadratic minimises quadratic functions whose optimum is known.",
         .choices = {"real", "cost", "quadratic"}},
        {.key = "simulation.start_spread",
         .kind = OptionKind::duration,
         .fallback = Duration(1s),
         .reason = "The peers start one after another within this time.",
         .least = 0,
         .most = kTimeMost},
        {.key = "simulation.time_max",
         .kind = OptionKind::duration,
         .fallback = Duration(24h),
         .reason = "The virtual time after which the simulation ends in any case.",
         .least = kTimeLeast,
         .most = kTimeMost},
        {.key = "simulation.disks",
         .kind = OptionKind::choice,
         .fallback = std::string("aggregator"),
         .reason = "Who has a disk for checkpoints, in memory: it costs some models each.",
         .choices = {"none", "aggregator", "all"}},
        {.key = "simulation.faults",
         .kind = OptionKind::text_list,
         .fallback = std::vector<std::string>{},
         .reason = "What goes wrong and when: \"10s kill 3 for 5s\", \"30s partition 0-49 | 50-99 "
                   "for 30s\", \"1m sleep 25% for 2m\". `gossamer-sim faults` lists the kinds."},
        {.key = "simulation.ids",
         .kind = OptionKind::text_list,
         .fallback = std::vector<std::string>{},
         .reason = "PeerIds of the peers in order, then of the aggregator, to repeat the run of "
                   "real daemons; empty: made up. `gossamer-sim export` writes them."},
        {.key = "simulation.parameters",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{1},
         .unit = "parameters",
         .reason = "Of the model under simulation.compute = \"cost\".",
         .least = 1,
         .most = 1e9},
        {.key = "simulation.samples",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{60},
         .unit = "samples",
         .reason = "Each device trains on under simulation.compute = \"cost\".",
         .least = 1,
         .most = 1e12},
        {.key = "simulation.quadratic_rate",
         .kind = OptionKind::real,
         .fallback = 0.1,
         .reason = "Of the gradient steps under simulation.compute = \"quadratic\".",
         .least = 0,
         .most = 2},
        {.key = "simulation.quadratic_steps",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{0},
         .unit = "steps",
         .reason = "How many steps or rounds move at that rate, before pure averaging; 0: all.",
         .least = 0,
         .most = 1e12},
        {.key = "simulation.quadratic_dimension",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{10},
         .unit = "parameters",
         .reason = "Of the vector x under simulation.compute = \"quadratic\".",
         .least = 1,
         .most = 1e7},
        {.key = "simulation.quadratic_condition",
         .kind = OptionKind::real,
         .fallback = 10.0,
         .reason = "Largest over smallest eigenvalue of A; the largest is 1.",
         .least = 1,
         .most = 1e6},
        {.key = "simulation.quadratic_spread",
         .kind = OptionKind::real,
         .fallback = 1.0,
         .reason = "Deviation of the optima b_i of the peers.",
         .least = 0,
         .most = 1e6},
    };
}

OptionTable network_options() {
    return {
        {.key = "simulation.latency",
         .kind = OptionKind::duration,
         .fallback = Duration(20ms),
         .reason = "One way, the mean over pairs of places.",
         .least = 0,  // which is refused with a hint
         .most = 86'400},
        {.key = "simulation.latency_distribution",
         .kind = OptionKind::choice,
         .fallback = std::string("uniform"),
         .reason = "How the latency differs between pairs: the same for all, uniform from half to "
                   "one and a half of the mean, or exponential beyond a quarter of it.",
         .choices = {"fixed", "uniform", "exponential"}},
        {.key = "simulation.jitter",
         .kind = OptionKind::real,
         .fallback = 0.1,
         .reason = "A packet takes up to this part of the latency longer.",
         .least = 0,
         .most = 10},
        {.key = "simulation.up",
         .kind = OptionKind::bytes,
         .fallback = std::int64_t{0},
         .unit = "bytes/s",
         .reason = "What a peer can send, over all its links; 0: no limit."},
        {.key = "simulation.down",
         .kind = OptionKind::bytes,
         .fallback = std::int64_t{0},
         .unit = "bytes/s",
         .reason = "What a peer can receive, over all its links; 0: no limit."},
        {.key = "simulation.server_rate",
         .kind = OptionKind::bytes,
         .fallback = std::int64_t{0},
         .unit = "bytes/s",
         .reason = "What the aggregator can send, and receive; 0: no limit."},
        {.key = "simulation.rate_spread",
         .kind = OptionKind::real,
         .fallback = 0.0,
         .reason = "Deviation of the logarithm of what peers' lines carry, up and down alike.",
         .least = 0,
         .most = 3},
        {.key = "simulation.loss",
         .kind = OptionKind::real,
         .fallback = 0.0,
         .reason = "Chance that a packet is lost and sent again after a timeout.",
         .least = 0,
         .most = 0.5},
        {.key = "simulation.nat",
         .kind = OptionKind::real,
         .fallback = 0.0,
         .reason = "Part of the peers that can dial but not be dialled.",
         .least = 0,
         .most = 1},
    };
}

OptionTable device_options() {
    return {
        {.key = "simulation.samples_per_second",
         .kind = OptionKind::real,
         .fallback = 10'000.0,
         .unit = "samples/s",
         .reason = "How fast a device trains, in virtual time.",
         .least = 1e-3,
         .most = 1e12},
        {.key = "simulation.server_samples_per_second",
         .kind = OptionKind::real,
         .fallback = 1e6,
         .unit = "samples/s",
         .reason = "How fast the aggregator would train; it only evaluates.",
         .least = 1e-3,
         .most = 1e12},
        {.key = "simulation.speed_spread",
         .kind = OptionKind::real,
         .fallback = 0.0,
         .reason = "Deviation of the logarithm of the devices' speeds.",
         .least = 0,
         .most = 3},
        {.key = "simulation.memory",
         .kind = OptionKind::bytes,
         .fallback = std::int64_t{0},
         .reason = "Memory of a device: with less than a step of training takes, its trainings "
                   "fail; 0: as much as it takes."},
        {.key = "simulation.memory_spread",
         .kind = OptionKind::real,
         .fallback = 0.0,
         .reason = "Deviation of the logarithm of the devices' memory.",
         .least = 0,
         .most = 3},
        {.key = "simulation.slow_part",
         .kind = OptionKind::real,
         .fallback = 0.0,
         .reason = "Part of the devices that are simulation.slow_factor times slower.",
         .least = 0,
         .most = 1},
        {.key = "simulation.slow_factor",
         .kind = OptionKind::real,
         .fallback = 10.0,
         .reason = "How much slower the slow devices are.",
         .least = 1,
         .most = 1e6},
        {.key = "simulation.clock_error",
         .kind = OptionKind::duration,
         .fallback = Duration{},
         .reason = "How wrong wall clocks are at most.",
         .least = 0,
         .most = kTimeMost},
        {.key = "simulation.clock_drift",
         .kind = OptionKind::real,
         .fallback = 0.0,
         .reason = "How much too fast or slow wall clocks go at most, as a part.",
         .least = 0,
         .most = 0.1},
        {.key = "simulation.availability",
         .kind = OptionKind::choice,
         .fallback = std::string("always"),
         .reason = "When devices are there: always; churn: exponential times up and down; diurnal: "
                   "asleep for a part of each day, staggered; trace: as a file says.",
         .choices = {"always", "churn", "diurnal", "trace"}},
        {.key = "simulation.churn_up",
         .kind = OptionKind::duration,
         .fallback = Duration(600s),
         .reason = "Mean time between a device's return and its next failure.",
         .least = kTimeLeast,
         .most = kTimeMost},
        {.key = "simulation.churn_down",
         .kind = OptionKind::duration,
         .fallback = Duration(60s),
         .reason = "Mean time it is away.",
         .least = kTimeLeast,
         .most = kTimeMost},
        {.key = "simulation.churn_power",
         .kind = OptionKind::boolean,
         .fallback = false,
         .reason = "Whether churn cuts the power, so that nobody is told, or kills the process."},
        {.key = "simulation.day",
         .kind = OptionKind::duration,
         .fallback = Duration(24h),
         .reason = "The period of diurnal availability.",
         .least = kTimeLeast,
         .most = kTimeMost},
        {.key = "simulation.asleep_part",
         .kind = OptionKind::real,
         .fallback = 0.5,
         .reason = "The part of the day a device sleeps under diurnal availability.",
         .least = 0,
         .most = 0.95},
        {.key = "simulation.trace",
         .kind = OptionKind::text,
         .fallback = std::string(),
         .reason = "File with a line for each time a device is there: index, from, until (s)."},
    };
}

}  // namespace

OptionTable simulation_options() {
    OptionTable all;
    for (auto table : {world_options(), network_options(), device_options()})
        for (auto& option : table) all.push_back(std::move(option));
    return all;
}

namespace {

template <class E>
E choice(const OptionSource& source, std::string_view key, const OptionTable& table) {
    const auto& text = source.text(key);
    for (const auto& option : table)
        if (option.key == key)
            return static_cast<E>(std::ranges::find(option.choices, text) - option.choices.begin());
    return E{};
}

}  // namespace

Result<WorldConfig> world_config(const OptionSource& source) {
    const auto table = simulation_options();
    WorldConfig c;
    c.compute = choice<ComputeMode>(source, "simulation.compute", table);
    c.peers = static_cast<std::uint64_t>(source.integer("simulation.peers"));
    c.start_spread = source.duration("simulation.start_spread");
    c.time_max = source.duration("simulation.time_max");
    c.disks = choice<Disks>(source, "simulation.disks", table);
    c.faults = source.text_list("simulation.faults");
    for (const auto& text : source.text_list("simulation.ids")) {
        auto id = PeerId::parse(text);
        if (!id)
            return fail(ErrorCode::kConfigType, "simulation.ids: \"" + text + "\" is no PeerId",
                        "write 64 hex digits");
        c.ids.push_back(*id);
    }
    c.quadratic.dimension =
        static_cast<std::uint32_t>(source.integer("simulation.quadratic_dimension"));
    c.quadratic.condition = source.real("simulation.quadratic_condition");
    c.quadratic.spread = source.real("simulation.quadratic_spread");

    c.quadratic.rate = source.real("simulation.quadratic_rate");
    c.quadratic.steps = static_cast<std::uint64_t>(source.integer("simulation.quadratic_steps"));
    c.cost_parameters = static_cast<std::size_t>(source.integer("simulation.parameters"));
    c.cost_samples = static_cast<std::uint64_t>(source.integer("simulation.samples"));

    auto& n = c.network;
    n.distribution = choice<Latency>(source, "simulation.latency_distribution", table);
    n.latency = source.duration("simulation.latency");
    n.jitter = source.real("simulation.jitter");
    n.up_bytes_per_second = static_cast<double>(source.integer("simulation.up"));
    n.down_bytes_per_second = static_cast<double>(source.integer("simulation.down"));
    n.rate_spread = source.real("simulation.rate_spread");
    n.server_bytes_per_second = static_cast<double>(source.integer("simulation.server_rate"));
    n.loss = source.real("simulation.loss");
    n.nat_part = source.real("simulation.nat");

    auto& d = c.devices;
    d.samples_per_second = source.real("simulation.samples_per_second");
    d.server_samples_per_second = source.real("simulation.server_samples_per_second");
    d.speed_spread = source.real("simulation.speed_spread");
    d.memory = static_cast<double>(source.integer("simulation.memory"));
    d.memory_spread = source.real("simulation.memory_spread");
    d.slow_part = source.real("simulation.slow_part");
    d.slow_factor = source.real("simulation.slow_factor");
    d.clock_error = source.duration("simulation.clock_error");
    d.drift = source.real("simulation.clock_drift");
    d.availability = choice<Availability>(source, "simulation.availability", table);
    d.up_mean = source.duration("simulation.churn_up");
    d.down_mean = source.duration("simulation.churn_down");
    d.churn_loses_power = source.flag("simulation.churn_power");
    d.day = source.duration("simulation.day");
    d.asleep_part = source.real("simulation.asleep_part");
    d.trace_file = source.text("simulation.trace");
    if (n.latency <= Duration::zero())
        return fail(ErrorCode::kConfigRange, "simulation.latency must be above 0",
                    "give each link some latency, such as \"1ms\"");
    return c;
}

}  // namespace gossamer::simulation
