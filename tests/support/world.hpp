// A small world for cores: nodes with virtual time, links that delay, stall, break and split, and
// jobs done when the test says so. It keeps a driver's contract (job/turn.hpp) and nothing more.
// Everything follows from the seed.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "gossamer/node/node.hpp"

namespace gossamer::testing {

struct NetworkModel {
    Duration delay = 2ms;             // one way
    double jitter = 0.5;              // a delay is up to this part longer
    double stall = 0;                 // chance that a message waits for a retransmission...
    Duration stall_for = 200ms;       // ...this long, and all behind it
    double bytes_per_second = 100e6;  // of a transfer
};

// How a world does jobs: what each costs in virtual time, and its arithmetic, done when that time
// has passed. A place has one worker for training and one for all else, each serving in order; a
// job waits until its inputs are filled.
struct Workers {
    std::function<Duration(std::size_t place, const job::Job& job)> cost;
    std::function<Result<job::JobDone>(std::size_t place, job::Job& job)> perform;
};

struct Noted {
    Instant at;
    std::size_t place = 0;
    message::Notice notice;
};

class World {
public:
    using Factory = std::function<std::unique_ptr<node::Node>(std::uint64_t boot_epoch)>;

    explicit World(std::uint64_t seed, NetworkModel network = {});

    // Not started yet. An empty address: it only dials out. Returns its place.
    std::size_t add(const PeerId& id, Role role, std::string address, Factory factory);
    void set_workers(Workers workers) { workers_ = std::move(workers); }

    void start(std::size_t place);                // a new life, with the next boot epoch
    void kill(std::size_t place);                 // as kill -9: links are reset, listening ends
    void vanish(std::size_t place);               // as a pulled plug: nobody is told anything
    void stop(std::size_t place);                 // asks it to leave; ends when it has stopped
    void suspend(std::size_t place, Duration d);  // as a closed lid: nothing runs, links stay
    void freeze(std::size_t place, Duration d);   // as SIGSTOP, and its clock goes on
    void cut(std::size_t a, std::size_t b);       // nothing passes; links do not notice
    void heal(std::size_t a, std::size_t b);
    void break_link(std::size_t a, std::size_t b, ErrorCode code);

    void run_until(Instant end);
    void run_for(Duration d) { run_until(now_ + d); }
    bool run_while(const std::function<bool()>& pending, Duration at_most);
    void at(Instant when, std::function<void()> action);

    Instant now() const { return now_; }
    std::size_t size() const { return places_.size(); }
    bool running(std::size_t place) const { return places_[place].node != nullptr; }
    node::Node& node(std::size_t place) { return *places_[place].node; }
    const PeerId& id(std::size_t place) const { return places_[place].id; }
    bool linked(std::size_t a, std::size_t b) const;
    const std::vector<Noted>& notices() const { return notices_; }
    std::size_t dial_count(std::size_t place) const { return places_[place].dials; }
    std::size_t message_count() const { return message_count_; }
    // One turn of a node, carried out; for events that a test makes up.
    void turn(std::size_t place, const std::function<void(job::Turn&)>& event);

private:
    struct Task {
        job::JobOrder order;
        bool cancelled = false;
    };
    struct Place {
        PeerId id;
        Role role{};
        std::string address;
        Factory factory;
        std::unique_ptr<node::Node> node;
        std::uint64_t life = 0, boots = 0;
        std::size_t dials = 0;
        job::TurnIds ids;
        std::list<Task> tasks;             // asked for and not answered, in order
        const Task* at_work[2]{};          // training, all else
        std::vector<job::Offer> promised;  // payloads not there yet
        Instant asleep_until{}, slept_since{};
        bool listening = false, armed = false;
        Instant armed_at = Instant::never();
    };
    struct Link {
        bool up = false;
        std::uint64_t generation = 0;
        std::size_t dialler = 0;
        Instant last[2]{};  // deliveries in each direction keep their order
    };
    struct Sending {  // a transfer between offer and its end
        std::size_t from = 0, to = 0;
        std::uint64_t generation = 0;
        message::Manifest manifest;
        tensor::Payload payload;
    };
    struct Event {
        Instant at;
        std::uint64_t order = 0;
        std::function<void()> run;
        bool operator<(const Event& other) const {
            return std::tie(other.at, other.order) < std::tie(at, order);
        }
    };
    using Pair = std::pair<std::size_t, std::size_t>;
    static Pair pair(std::size_t a, std::size_t b) { return {std::min(a, b), std::max(a, b)}; }

    void step();
    void carry_out(std::size_t place, job::Turn& turn);
    void arm(std::size_t place);
    void start_jobs(std::size_t place);
    void finish_job(std::size_t place, const Task* task, Duration elapsed);
    void answer_job(std::size_t place, job::JobId id, Result<job::JobDone> done, Duration elapsed);
    void offer_filled(std::size_t place);
    void deliver(std::size_t from, std::size_t to, std::function<void()> arrive, Duration extra);
    void pass_on(std::size_t from, std::size_t to, std::uint64_t generation,
                 std::function<void()> arrive);
    void to_node(std::size_t place, std::function<void(node::Node&, job::Turn&)> event);
    void dial(std::size_t place, const job::LinkOrder& order);
    void meet(std::size_t dialler, std::size_t other, const std::string& address);
    void dial_failed(std::size_t place, const PeerId& peer, const std::string& address,
                     ErrorCode code, bool permanent, Duration after);
    void take_down(std::size_t a, std::size_t b, ErrorCode at_a, ErrorCode at_b);
    void offer(std::size_t place, const job::Offer& offer);
    void grant(std::size_t place, const job::Grant& grant);
    void lose_transfers(std::size_t a, std::size_t b);
    std::optional<std::size_t> place_of(const PeerId& id) const;
    Duration some_delay();
    void end_life(std::size_t place);

    RngStream rng_;
    NetworkModel network_;
    Workers workers_;
    std::vector<Place> places_;
    std::map<Pair, Link> links_;
    std::map<Pair, bool> cuts_;
    std::map<std::pair<std::size_t, std::uint64_t>, Sending> sendings_;  // by (sender, id)
    std::priority_queue<Event> events_;
    std::uint64_t order_ = 0;
    std::size_t message_count_ = 0;
    Instant now_{1'000'000'000};
    RunSeed seed_;
    std::vector<Noted> notices_;
};

}  // namespace gossamer::testing
