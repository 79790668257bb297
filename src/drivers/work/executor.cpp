#include "drivers/work/executor.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "protocol/job/ends.hpp"

namespace gossamer::work {
struct Executor::Task {
    job::JobId id;
    job::JobClass priority{};
    job::Job job;
    unsigned missing = 0;  // inputs that are still promises
    const void* sum = nullptr;
    std::vector<const void*> outputs;
    std::atomic<bool> cancelled{false};
    bool running = false;
    Duration nested{};  // spent on urgent jobs in its pauses
};

Executor::Executor(unsigned thread_count, Perform perform, Done done)
    : perform_(std::move(perform)), done_(std::move(done)) {
    for (unsigned i = 0; i < std::max(1u, thread_count); ++i)
        workers_.emplace_back([this] { work(); });
}

Executor::~Executor() { stop(); }

void Executor::start(std::vector<job::JobOrder> orders) {
    std::vector<TaskRef> orphans;
    {
        std::lock_guard lock(mutex_);
        for (auto& order : orders) {
            auto task = std::make_shared<Task>();
            task->id = order.id, task->priority = order.priority, task->job = std::move(order.job);
            auto ends = job::ends_of(task->job);
            bool orphan = stopping_;
            for (const auto* input : ends.inputs) {
                if (producers_.contains(input->key())) {  // perhaps filled, but not yet answered
                    consumers_[input->key()].push_back(task);
                    ++task->missing;
                } else if (!input->filled()) {
                    orphan = true;
                }
            }
            if (orphan) {
                for (auto& [key, list] : consumers_) std::erase(list, task);
                orphans.push_back(task);
                continue;
            }
            for (const auto* output : ends.outputs) {
                task->outputs.push_back(output->key());
                producers_[output->key()] = task;
            }
            tasks_[task->id] = task;
            if ((task->sum = ends.sum)) sums_[task->sum].push_back(task);
            if (task->missing == 0) make_ready(task, false);
        }
    }
    wake_.notify_all();
    for (auto& task : orphans)
        done_(task->id, fail(ErrorCode::kCancelled, "an input of the job never came"), {});
}

// Puts a task in the queue of its class, unless an earlier job on its sum is still open.
void Executor::make_ready(const TaskRef& task, bool first) {
    if (task->sum && sums_[task->sum].front() != task) return;
    auto& queue = ready_[static_cast<int>(task->priority)];
    first ? queue.push_front(task) : queue.push_back(task);
}

// Gives the task's place in its sum's queue to the next.
void Executor::leave_sum(const TaskRef& task) {
    auto& queue = sums_[task->sum];
    bool was_first = !queue.empty() && queue.front() == task;
    std::erase(queue, task);
    if (queue.empty())
        sums_.erase(task->sum);
    else if (was_first && queue.front()->missing == 0)
        make_ready(queue.front(), true);
}

Executor::TaskRef Executor::take_ready(job::JobClass lowest) {
    for (int c = 0; c <= static_cast<int>(lowest); ++c)
        if (!ready_[c].empty()) {
            auto task = ready_[c].front();
            ready_[c].pop_front();
            return task;
        }
    return nullptr;
}

void Executor::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (auto task = take_ready(job::JobClass::background)) {
            run(lock, std::move(task));
        } else if (stopping_) {
            return;
        } else {
            ++idle_;
            wake_.wait(lock);
            --idle_;
        }
    }
}

void Executor::run(std::unique_lock<std::mutex>& lock, TaskRef task) {
    task->running = true;
    Result<job::JobDone> result = fail(ErrorCode::kCancelled, "the job was cancelled");
    Duration elapsed{};
    if (!task->cancelled && !stopping_) {
        lock.unlock();
        auto begin = std::chrono::steady_clock::now();
        result = perform_(task->job, [this, &task] { return pause(*task); });
        elapsed = std::chrono::steady_clock::now() - begin - task->nested;
        lock.lock();
    }
    complete(lock, task, std::move(result), elapsed);
}

// Between two batches: an urgent job that no idle worker takes runs here and now.
bool Executor::pause(Task& training) {
    if (training.cancelled) return false;
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return true;
    while (idle_ == 0) {
        auto urgent = take_ready(job::JobClass::urgent);
        if (!urgent) break;
        auto begin = std::chrono::steady_clock::now();
        run(lock, std::move(urgent));
        training.nested += std::chrono::steady_clock::now() - begin;
    }
    return !stopping_;
}

void Executor::complete(std::unique_lock<std::mutex>& lock, const TaskRef& task,
                        Result<job::JobDone> result, Duration elapsed) {
    std::vector<TaskRef> failed;
    if (!result) {
        for (const auto* key : task->outputs) producers_.erase(key);
        fail_consumers(task, failed);
    }
    task->job = {};  // drops the handles before anybody asks who holds them
    tasks_.erase(task->id);
    for (auto& lost : failed) tasks_.erase(lost->id);
    lock.unlock();
    done_(task->id, std::move(result), elapsed);
    for (auto& lost : failed) {
        lost->job = {};
        done_(lost->id, fail(ErrorCode::kCancelled, "an input of the job never came"), {});
    }
    lock.lock();
    release(task);
    lock.unlock();
    wake_.notify_all();
    lock.lock();
}

// Only once a task was answered may what follows from it start: nobody hears of a consequence
// before its cause.
void Executor::release(const TaskRef& task) {
    if (task->sum) leave_sum(task);
    for (const auto* key : task->outputs) {
        auto producer = producers_.find(key);
        // A handle nobody held any more may have given its place to a new one.
        if (producer == producers_.end() || producer->second != task) continue;
        producers_.erase(producer);
        if (auto waiting = consumers_.extract(key))
            for (auto& consumer : waiting.mapped())
                if (--consumer->missing == 0) make_ready(consumer, true);
    }
}

void Executor::fail_consumers(const TaskRef& producer, std::vector<TaskRef>& failed) {
    for (const auto* key : producer->outputs) {
        auto waiting = consumers_.extract(key);
        if (!waiting) continue;
        for (auto& consumer : waiting.mapped()) {
            if (std::ranges::find(failed, consumer) != failed.end()) continue;
            failed.push_back(consumer);
            for (const auto* out : consumer->outputs) producers_.erase(out);
            for (auto& [other, list] : consumers_) std::erase(list, consumer);
            if (consumer->sum) leave_sum(consumer);
            fail_consumers(consumer, failed);
        }
    }
}

void Executor::cancel(job::JobId id) {
    std::unique_lock lock(mutex_);
    auto found = tasks_.find(id);
    if (found == tasks_.end()) return;
    auto task = found->second;
    task->cancelled = true;
    if (task->running) return;  // it gives up at its next pause
    for (auto& queue : ready_) std::erase(queue, task);
    for (auto& [key, list] : consumers_) std::erase(list, task);
    complete(lock, task, fail(ErrorCode::kCancelled, "the job was cancelled"), {});
}

void Executor::stop() {
    std::unique_lock lock(mutex_);
    if (workers_.empty()) return;
    stopping_ = true;
    for (auto& [id, task] : tasks_) task->cancelled = true;
    lock.unlock();
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
    lock.lock();
    while (!tasks_.empty()) {  // what never became ready
        auto task = tasks_.begin()->second;
        for (auto& [key, list] : consumers_) std::erase(list, task);
        complete(lock, task, fail(ErrorCode::kCancelled, "the daemon stops"), {});
    }
}

}  // namespace gossamer::work
