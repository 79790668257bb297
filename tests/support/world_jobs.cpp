// Jobs in the scripted world: in order, when their inputs are there and their time has passed.
#include <doctest/doctest.h>

#include <algorithm>

#include "protocol/job/ends.hpp"
#include "support/world.hpp"

namespace gossamer::testing {

namespace {

bool ready(const job::Job& job) {
    return std::ranges::all_of(job::ends_of(job).inputs,
                               [](const auto* handle) { return handle->filled(); });
}

}  // namespace

void World::start_jobs(std::size_t place) {
    Place& p = places_[place];
    for (Task& task : p.tasks) {
        const Task*& worker = p.at_work[task.order.priority != job::JobClass::train];
        if (worker != nullptr || (!task.cancelled && !ready(task.order.job))) continue;
        worker = &task;
        const Duration cost = task.cancelled ? 1us : workers_.cost(place, task.order.job);
        at(now_ + cost, [this, place, life = p.life, task = &task, cost] {
            if (places_[place].life == life) finish_job(place, task, cost);
        });
    }
}

void World::finish_job(std::size_t place, const Task* done, Duration elapsed) {
    Place& p = places_[place];
    auto it = std::ranges::find_if(p.tasks, [done](const Task& task) { return &task == done; });
    REQUIRE(it != p.tasks.end());
    p.at_work[it->order.priority != job::JobClass::train] = nullptr;
    Task task = std::move(*it);
    p.tasks.erase(it);
    std::vector<const void*> made;
    for (const auto* output : job::ends_of(task.order.job).outputs) made.push_back(output->key());
    Result<job::JobDone> result = fail(ErrorCode::kCancelled, "cancelled");
    if (!task.cancelled) result = workers_.perform(place, task.order.job);
    if (!result)  // what was to come of it never will: whoever needs it is answered too
        for (Task& other : p.tasks)
            for (const auto* input : job::ends_of(other.order.job).inputs)
                other.cancelled |= std::ranges::find(made, input->key()) != made.end();
    answer_job(place, task.order.id, std::move(result), elapsed);
    start_jobs(place);
    offer_filled(place);
}

void World::answer_job(std::size_t place, job::JobId id, Result<job::JobDone> done,
                       Duration elapsed) {
    auto answer = std::make_shared<Result<job::JobDone>>(std::move(done));
    to_node(place, [id, answer, elapsed](node::Node& n, job::Turn& t) {
        n.on_job_done(t, id, *answer, elapsed);
    });
}

void World::offer_filled(std::size_t place) {
    auto waiting = std::exchange(places_[place].promised, {});
    for (const job::Offer& o : waiting) offer(place, o);  // or keeps it again
}

}  // namespace gossamer::testing
