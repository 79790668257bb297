#include "drivers/simulation/world.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <span>

#include "drivers/simulation/durations.hpp"
#include "drivers/simulation/wire_path.hpp"

namespace gossamer::simulation {

namespace {

// Places a lane takes at once, so that lanes do not meet too often, nor end far apart. It holds a
// few more, which it fetches.
constexpr std::size_t kTakenMost = 16, kTakenPart = 32;
constexpr std::size_t kPushAhead = 8;
// Nobody can stop a run within a window, and what is said in it is kept until it ends.
constexpr Duration kWindowMost = 1s;

}  // namespace

World::World(WorldSetup setup, Observer& observer)
    : ground_(std::move(setup)),
      observer_(observer),
      calendar_(std::min(ground_.network.latency_least(), kWindowMost)) {
    auto& places = ground_.places;
    // Real bytes run through engines that both ends share.
    const auto lanes = ground_.setup.wire ? 1 : std::max(1u, ground_.setup.threads);
    for (unsigned i = 0; i < lanes; ++i)
        lanes_.push_back(std::make_unique<Lane>(ground_, observer));
    places = std::vector<Place>(ground_.setup.directory.size());
    for (auto& place : places) place.staging.limit(ground_.setup.staging_bytes);
    const auto& faults = ground_.setup.faults;
    // A fault comes before the start of the same instant: who is away from the first is not there.
    first_boot_ = faults.size();
    for (std::size_t i = 0; i < faults.size(); ++i)
        world_queue_.push({kBeginning + std::min(faults[i].at, kLongest), 0, 0, i},
                          {.kind = EventKind::fault, .a = i});
    const auto peers = ground_.setup.directory.peers();
    for (PlaceIndex p = peers; p < places.size(); ++p) push_boot(p);
    world_events_ = first_boot_ + places.size();
    const auto push = [&](Instant at, Event event) {
        world_queue_.push({at, 0, 0, world_events_++}, std::move(event));
    };
    for (std::size_t i = 0; i < faults.size(); ++i) {
        if (faults[i].lasting > Duration::zero())
            push(kBeginning + std::min(faults[i].at, kLongest) +
                     std::min(faults[i].lasting, kLongest),
                 {.kind = EventKind::fault, .b = 1, .a = i});
    }
    for (PlaceIndex p = 0; p < places.size(); ++p) lanes_[0]->next_availability(kBeginning, p);
    gather();
}

World::~World() = default;

bool World::reachable(PlaceIndex a, PlaceIndex b) const {
    return !ground_.network.blocked(a, b) && !ground_.network.blocked(b, a);
}

std::uint64_t World::trace_hash() const {
    Trace all = world_trace_;
    for (const auto& place : ground_.places) all.add(place.trace.value());
    return all.value();
}

void World::push_boot(PlaceIndex p) {
    world_queue_.push({kBeginning + ground_.start_after(p), 0, 0, first_boot_ + p},
                      {.kind = EventKind::boot, .c = p});
}

// Peers start in the order of their numbers; of a hundred thousand only the next one is queued.
void World::push_next_boot() {
    if (next_boot_ == ground_.setup.directory.peers()) return;
    const EventKey key{kBeginning + ground_.start_after(next_boot_), 0, 0,
                       first_boot_ + next_boot_};
    if (world_queue_.empty() || key < world_queue_.next()) push_boot(next_boot_++);
}

bool World::linked(PlaceIndex p, PlaceIndex other) const {
    for (const auto& [id, end] : place(p).ends)
        if (end->other == other && end->link) return true;
    return false;
}

bool World::step(Instant last) {
    push_next_boot();
    if (failed_ || run_dry()) return false;
    const Instant beyond = last.is_never() ? last : last + 1ns;
    const Instant change = world_queue_.empty() ? Instant::never() : world_queue_.next().at;
    if (!calendar_.empty() && calendar_.first() < std::min(change, beyond)) {
        window_.clear();
        auto until = std::min({calendar_.end_of(calendar_.first()), change, beyond});
        // Jobs that are done together must all have begun before the first of them is needed.
        if (ground_.setup.factory.stacks) until = std::min(until, calendar_.earliest() + 1ns);
        calendar_.take(until, window_);
        if (!window_.empty()) {
            turn_window(until);
            return !failed_;
        }
    }
    if (change >= beyond) return false;
    EventKey key;
    const auto event = world_queue_.pop(key);
    now_ = key.at;
    world_trace_.add(static_cast<std::uint64_t>(now_.ns));
    lanes_[0]->turn_world(key, event);
    gather();
    return !failed_;
}

void World::turn_window(Instant until) {
    order_.clear();
    for (auto& item : window_) order_.push_back(&item);
    std::ranges::sort(order_, [](const Item* a, const Item* b) {
        if (a->key.receiver != b->key.receiver) return a->key.receiver < b->key.receiver;
        return a->key < b->key;
    });
    groups_.clear();
    std::size_t largest = 0;
    for (std::size_t i = 0; i < order_.size();) {
        const auto begin = i, receiver = std::size_t{order_[i]->key.receiver};
        while (i < order_.size() && order_[i]->key.receiver == receiver) ++i;
        groups_.emplace_back(order_.data() + begin, i - begin);
        if (groups_.back().size() > groups_[largest].size()) largest = groups_.size() - 1;
    }
    std::swap(groups_[largest], groups_.front());  // what takes longest begins first
    // The others from the last to the first: an aggregator takes up from the first to the last what
    // they made, and what was made last is still in a cache.
    std::reverse(groups_.begin() + 1, groups_.end());
    std::atomic<std::size_t> next{0};
    const auto count = groups_.size();
    const bool shared =
        lanes_.size() > 1 && groups_.size() > 1 && window_.size() >= ground_.setup.shared_from;
    const auto taken = shared ? std::clamp<std::size_t>(count / kTakenPart, 1, kTakenMost) : count;
    const auto turn = [&](unsigned number) {
        auto& lane = *lanes_[number];
        std::size_t at = 0, end = 0;
        const auto take = [&] {
            if (at == end) {
                at = next.fetch_add(taken, std::memory_order_relaxed);
                end = std::max(at, std::min(at + taken, count));
            }
            return at < end ? at++ : count;
        };
        // What a place holds left the cache since its last turn: it is fetched while others are
        // turned, first what it is, then what that points to, and so on. Where lanes take places
        // one by one for there are few, what one had taken for later the other would wait for.
        const auto ahead = taken > 1 ? Lane::kFetches : 0;
        std::array<std::size_t, Lane::kFetches + 1> mine;  // that are next, the first of them now
        for (unsigned i = 0; i <= ahead; ++i) mine[i] = take();
        const auto fetch = [&](unsigned i, unsigned which) {
            if (mine[i] < count) lane.fetch(*groups_[mine[i]].front(), which);
        };
        for (unsigned which = 0; which < ahead; ++which)
            for (unsigned i = 0; i + which < ahead; ++i) fetch(i, which);
        while (mine[0] < count) {
            for (unsigned which = 0; which < ahead; ++which) fetch(ahead - which, which);
            lane.turn_place(groups_[mine[0]].front()->key.receiver - 1, groups_[mine[0]], until);
            std::shift_left(mine.begin(), mine.begin() + ahead + 1, 1);
            mine[ahead] = take();
        }
    };
    ++counts_.windows;
    if (shared) {
        ++counts_.shared_windows;
        ground_.compute.together(turn);
    } else {
        turn(0);
    }
    gather();
}

void World::gather() {
    said_.clear();
    for (auto& lane : lanes_) {
        const auto& sent = lane->sent;
        for (std::size_t i = 0; i < sent.size(); ++i) {
            if (i + kPushAhead < sent.size()) calendar_.fetch(sent[i + kPushAhead].key.at);
            calendar_.push(sent[i].key, std::move(lane->sent[i].event));
        }
        lane->sent.clear();
        for (auto& note : lane->notes) said_.push_back(&note);
        now_ = std::max(now_, lane->latest());
        counts_ += std::exchange(lane->counts, {});
        ended_count_ += std::exchange(lane->ended_count, 0);
        finished_count_ += std::exchange(lane->finished_count, 0);
    }
    std::vector<Lane::WorldEvent> changes;
    std::optional<EventKey> first_failed;
    for (auto& lane : lanes_) {
        std::ranges::move(lane->world_events, std::back_inserter(changes));
        lane->world_events.clear();
        if (lane->failed && (!first_failed || lane->failed->first < *first_failed)) {
            first_failed = lane->failed->first;
            failed_ = lane->failed->second;
        }
    }
    std::ranges::stable_sort(changes, {}, &Lane::WorldEvent::cause);
    for (auto& change : changes)
        world_queue_.push({change.at, 0, 0, world_events_++}, std::move(change.event));
    std::ranges::stable_sort(said_, {}, [](const Lane::Note* note) { return note->key; });
    const auto now = now_;
    for (auto* note : said_) {
        now_ = note->key.at;
        hear(*note);
    }
    now_ = now;
    for (auto& lane : lanes_) lane->notes.clear();
}

void World::hear(Lane::Note& note) {
    const auto at = note.key.at;
    const auto p = note.place;
    auto& what = note.what;
    if (auto* said = std::get_if<Lane::Said>(&what))
        observer_.on_notice(at, p, said->notice, said->moment);
    else if (const auto* busy = std::get_if<Lane::Busy>(&what))
        observer_.on_busy(p, busy->from, busy->until, busy->training);
    else if (const auto* sent = std::get_if<Lane::Sent>(&what))
        observer_.on_send(p, sent->from, sent->until);
    else if (const auto* offer = std::get_if<job::Offer>(&what))
        observer_.on_offer(p, *offer);
    else if (const auto* state = std::get_if<PlaceState>(&what))
        observer_.on_state(at, p, *state);
    else if (const auto* faulted = std::get_if<Lane::Faulted>(&what))
        observer_.on_fault(at, *faulted->fault, faulted->begins);
    else
        std::get<std::function<void()>>(what)();
}

}  // namespace gossamer::simulation
