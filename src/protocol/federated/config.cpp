#include "gossamer/federated/config.hpp"

namespace gossamer::federated {

OptionTable federated_options() {
    using K = OptionKind;
    auto count = [](std::int64_t n) { return OptionValue(n); };
    return {
        {"federated.strategy", K::text, std::string("fed_avg"), "",
         "How the aggregator makes the next model out of the clients' deltas."},
        {"federated.fraction",
         K::real,
         1.0,
         "",
         "Share of the peers that train in a round; smaller costs less traffic and more rounds.",
         {},
         0,
         1},
        {"federated.clients_min",
         K::integer,
         count(1),
         "clients",
         "No round is started with fewer clients, whatever the fraction.",
         {},
         1,
         1e6},
        {"federated.over_provision",
         K::real,
         1.0,
         "",
         "Invites so many times the clients wanted and takes the first; above 1 a round does not "
         "wait for stragglers, but which updates count depends on who is fast.",
         {},
         1,
         10},
        {"federated.quorum",
         K::real,
         0.5,
         "",
         "Share of the wanted updates without which a round is repeated. Who is dead when a round "
         "is planned is not invited: with 1, and clients_min as large as the fleet, the final "
         "model does not depend on crashes.",
         {},
         0,
         1},
        {"federated.value_bound",
         K::real,
         1000.0,
         "",
         "Largest |element| of an update; a larger one is refused whole, by name. Smaller makes "
         "the exact sum finer.",
         {},
         1e-6,
         1e9},
        {"federated.local_epochs",
         K::integer,
         count(1),
         "epochs",
         "Passes over its data that a client trains in a round.",
         {},
         1,
         1e6},
        {"federated.local_steps",
         K::integer,
         count(0),
         "steps",
         "Batches that a client trains in a round; not 0: used instead of local_epochs.",
         {},
         0,
         1e9},
        {"federated.proximal_mu",
         K::real,
         0.0,
         "",
         "FedProx: pulls clients towards the global model; try 0.01 when their data differ much.",
         {},
         0,
         1e3},
        {"federated.codec", K::text, std::string("f32"), "",
         "How updates are encoded: f32 exact; f16, bf16 half the bytes, rounded; int8 a quarter, "
         "rounded by chance so that the mean is right; sign a bit a value, top10 and top1 the "
         "largest tenth or hundredth of the values (a fifth, a fiftieth of the bytes), each client "
         "keeping what it did not send for its next update."},
        {"federated.keep_optimizer", K::boolean, false, "",
         "Clients carry momentum and the like from round to round; the usual rule is a fresh "
         "optimiser each round. What is carried, and what error feedback of a lossy codec has "
         "left over, a client keeps in memory alone: after its restart it begins afresh, and the "
         "models then differ from those of a run without the restart."},
        {"federated.evaluate_every",
         K::integer,
         count(1),
         "rounds",
         "Evaluates the model on the aggregator's test data, while the next round trains; 0 = the "
         "final model only.",
         {},
         0,
         1e9},
        {"federated.client_evaluate_every",
         K::integer,
         count(0),
         "rounds",
         "Clients evaluate the model on their own test data before they train; 0 = the final model "
         "only.",
         {},
         0,
         1e9},
        {"federated.staging",
         K::integer,
         count(2),
         "updates",
         "Uploads held in memory at a time; each costs one encoded model.",
         {},
         1,
         1024},
        {"federated.set_memory",
         K::bytes,
         count(std::int64_t{256} << 20),
         "bytes",
         "Memory for strategies that need all updates of a round at once.",
         {},
         0,
         1e15},
        {"federated.patience_min",
         K::duration,
         Duration(std::chrono::seconds(5)),
         "",
         "Added to four times what was measured before a straggler is given up.",
         {},
         0.001,
         1e6},
        {"federated.round_max",
         K::duration,
         Duration(std::chrono::minutes(30)),
         "",
         "Limit of a client's transfer or training, whatever was measured.",
         {},
         0.001,
         1e7},
        {"federated.rejoin_wait",
         K::duration,
         Duration(std::chrono::seconds(60)),
         "",
         "How long a round waits for a client that lost its link but is not known to be dead.",
         {},
         0.001,
         1e6},
        {"federated.wait_peers",
         K::duration,
         Duration(std::chrono::hours(1)),
         "",
         "How long the run waits for enough peers before it gives up.",
         {},
         0.001,
         1e7},
        {"federated.attempts",
         K::integer,
         count(3),
         "",
         "A round that misses its quorum so often in a row ends the run.",
         {},
         1,
         1000},
    };
}

FederatedConfig federated_config(const OptionSource& source) {
    auto count = [&](std::string_view key) {
        return static_cast<std::uint64_t>(source.integer(key));
    };
    auto small = [&](std::string_view key) {
        return static_cast<std::uint32_t>(source.integer(key));
    };
    FederatedConfig c;
    c.strategy = source.text("federated.strategy");
    c.fraction = source.real("federated.fraction");
    c.clients_min = count("federated.clients_min");
    c.over_provision = source.real("federated.over_provision");
    c.quorum = source.real("federated.quorum");
    c.value_bound = source.real("federated.value_bound");
    c.local_epochs = small("federated.local_epochs");
    c.local_steps = small("federated.local_steps");
    c.proximal_mu = source.real("federated.proximal_mu");
    c.codec = source.text("federated.codec");
    c.keep_optimizer = source.flag("federated.keep_optimizer");
    c.evaluate_every = count("federated.evaluate_every");
    c.client_evaluate_every = count("federated.client_evaluate_every");
    c.staging = small("federated.staging");
    c.set_memory_bytes = count("federated.set_memory");
    c.patience_min = source.duration("federated.patience_min");
    c.round_max = source.duration("federated.round_max");
    c.rejoin_wait = source.duration("federated.rejoin_wait");
    c.wait_peers = source.duration("federated.wait_peers");
    c.attempts = small("federated.attempts");
    return c;
}

}  // namespace gossamer::federated
