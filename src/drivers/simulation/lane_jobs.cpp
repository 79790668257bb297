// Jobs in virtual time: a place has one worker for training and one for all else, each serving by
// class and then in order; a job begins when nothing that it reads is still to come, and ends when
// its cost has passed. The arithmetic is done meanwhile, or at the latest then.
#include <algorithm>

#include "drivers/simulation/durations.hpp"
#include "drivers/simulation/lane.hpp"
#include "protocol/job/ends.hpp"

namespace gossamer::simulation {

void Lane::start_jobs(PlaceIndex p) {
    places_[p].startable = false;
    if (!places_[p].work) return;
    auto& work = *places_[p].work;
    const auto ready = [&](const Task& task) {
        return std::ranges::none_of(task.inputs, [&](const void* key) {
            return std::ranges::find(work.pending, key) != work.pending.end();
        });
    };
    for (const bool training : {true, false}) {
        if (work.at_work[!training]) continue;
        Task* next = nullptr;
        for (auto& task : work.tasks) {
            if (task.begun || (task.order.priority == job::JobClass::train) != training) continue;
            if (next && task.order.priority >= next->order.priority) continue;
            if (ready(task)) next = &task;
        }
        if (next) begin(p, *next, !training);
    }
}

void Lane::begin(PlaceIndex p, Task& task, bool lane) {
    auto& place = places_[p];
    place.working().at_work[lane] = true;
    task.begun = true;
    if (!task.cancelled) {
        const bool early = task.ticket != nullptr;
        if (!early) task.cost = setup_.factory.cost(p, task.order.job);
        const double slower = place.passing ? place.passing->slower : 1;
        task.cost = times(task.cost, slower);
        if (!early && !waits_for_its_end(task.order.job)) submit(p, task);
        if (observer_.follows(p)) tell(p, Busy{now_, now_ + task.cost, !lane});
    }
    push(p, p, now_ + task.cost,
         {.kind = EventKind::job_done, .life = place.life, .a = task.number});
}

// What is on a disk must not depend on which thread was faster: written when it ends. And training
// that is none takes no time, but room for as long as it is under way: ten thousand at once.
bool Lane::waits_for_its_end(const job::Job& job) const {
    if (std::holds_alternative<job::TrainJob>(job))
        return setup_.config.compute == ComputeMode::cost;
    return std::holds_alternative<job::CheckpointJob>(job);
}

void Lane::submit(PlaceIndex p, Task& task) {
    task.inputs.clear();
    const bool stacks = setup_.factory.stacks && setup_.factory.stacks(task.order.job);
    const bool when_needed = stacks || waits_for_its_end(task.order.job);
    std::vector<tensor::Handle> to_make;
    for (const auto* input : job::ends_of(task.order.job).inputs)
        if (!input->is_made()) to_make.push_back(*input);
    task.held = !stacks && !task.adds && !to_make.empty();
    std::function<void()> later;
    auto work = setup_.factory.work(p, std::move(task.order.job), later);
    if (later) tell(p, std::move(later));
    if (task.held) {
        task.ticket = compute_.submit_held(std::move(work), std::move(to_make), now_ + task.cost);
        return;
    }
    task.ticket = compute_.submit(std::move(work), task.order.priority, when_needed);
}

// A hundred updates come to an aggregator that adds one after another. Sums are exact, in whatever
// order, so what is at hand is added while other places are turned; its virtual time comes later.
void Lane::add_early(PlaceIndex p, Task& task) {
    const auto& place = places_[p].working();
    for (const auto& other : place.tasks)
        if (other.sum == task.sum && !other.adds) return;
    for (const void* input : task.inputs)
        if (std::ranges::find(place.pending, input) != place.pending.end()) return;
    task.cost = setup_.factory.cost(p, task.order.job);
    submit(p, task);
}

// What has not begun, and training, which yields between batches, is answered soon.
void Lane::cancel(PlaceIndex p, job::JobId id) {
    auto& place = places_[p];
    if (!place.work) return;
    for (auto& task : place.work->tasks) {
        if (task.order.id != id || std::exchange(task.cancelled, true)) continue;
        if (!task.begun || task.order.priority == job::JobClass::train)
            push(p, p, now_, {.kind = EventKind::job_done, .life = place.life, .a = task.number});
    }
}

void Lane::finish_job(PlaceIndex p, std::uint64_t number) {
    auto& place = places_[p];
    if (!place.work) return;
    auto& here = *place.work;
    auto it = std::ranges::find(here.tasks, number, &Task::number);
    if (it == here.tasks.end()) return;
    if (!ground_.hanging.empty() && hangs(p, *it)) return;
    Task task = std::move(*it);
    here.tasks.erase(it);
    if (task.begun) here.at_work[task.order.priority != job::JobClass::train] = false;
    if (task.begun && !task.cancelled && !task.ticket) submit(p, task);
    // After training the model it began with is let go, unless others still wait to read it.
    if (std::holds_alternative<job::TrainJob>(task.order.job))
        for (const auto& other : here.tasks)
            if (other.held && other.begun) compute_.hasten(other.ticket);
    Result<job::JobDone> result = fail(ErrorCode::kCancelled, "cancelled");
    if (task.cancelled && task.ticket)
        compute_.drop(task.ticket);
    else if (task.ticket)
        result = compute_.wait(task.ticket);
    task.ticket.reset();
    for (const auto& out : task.outputs)
        if (auto at = std::ranges::find(here.pending, out.key()); at != here.pending.end())
            here.pending.erase(at);
    const auto makes = [&](const void* key) {
        return std::ranges::find(task.outputs, key, &tensor::Handle::key) != task.outputs.end();
    };
    if (!result)  // what was to come of it never will: whoever needs it is answered too
        for (auto& other : here.tasks)
            for (const void* input : other.inputs) other.cancelled |= makes(input);
    const bool failed = !result;
    if (failed)
        std::erase_if(here.promised,
                      [&](const job::Offer& offer) { return makes(offer.payload.key()); });
    place.startable = true;
    task.outputs.clear();  // who writes in place looks whether it is the only holder
    const auto life = place.life;
    turn(p, [&](node::Node& n, job::Turn& t) {
        n.on_job_done(t, task.order.id, std::move(result), task.cost);
    });
    if (place.life != life) return;
    start_jobs(p);
    offer_filled(p);
}

// An offer whose payload some job still makes waits until that job is done.
void Lane::pass_offer(PlaceIndex p, job::Offer offer) {
    auto& place = places_[p];
    auto& work = place.working();
    if (std::ranges::find(work.pending, offer.payload.key()) != work.pending.end()) {
        work.promised.push_back(std::move(offer));
        return;
    }
    auto* end = up_to(p, offer.to);
    const auto id = offer.id;
    if (!end) {
        soon_.push_back([this, p, id, to = offer.to, life = place.life] {
            if (places_[p].life != life) return;
            turn(p, [&](node::Node& n, job::Turn& t) {
                const Error error{ErrorCode::kLinkClosed, "no link to " + to.short_string(), {}};
                n.on_transfer(t, to, id, message::TransferLost{error});
            });
        });
        return;
    }
    work.offered.set(id.value, end->id);
    offer.manifest.byte_count = offer.payload.size_bytes();
    tell(p, offer);
    if (!ground_.echoing.empty()) repeat_offer(p, offer);
    touch(p, *end);
    end->link->offer(now_, id, std::move(offer.manifest), std::move(offer.payload));
}

void Lane::offer_filled(PlaceIndex p) {
    if (!places_[p].work || places_[p].work->promised.empty()) return;
    auto waiting = std::exchange(places_[p].work->promised, {});
    for (auto& offer : waiting) pass_offer(p, std::move(offer));
}

}  // namespace gossamer::simulation
