// The one executor of jobs: a worker pool that serves them by class, runs chains back to back, and
// keeps a long train job from delaying an urgent one.
//
// A job is ready when all its inputs are filled and, if it touches an exact sum, when the jobs on
// that sum asked for earlier are done. A consumer that becomes ready by the job just run goes next
// on the same worker, while the data is in its cache. Between two batches a train job runs whatever
// urgent job waits. Every job is answered once through `done`, before what consumes its outputs, or
// comes after it on its sum, starts.
//
// What a worker ran is answered on its thread, with what can no longer run because it failed. What
// never ran is answered by whoever ends it, on the caller's thread and before the call returns:
// start() a job whose input can never come, cancel() one that waits, and what waits for it, stop()
// all that are left. No lock is held meanwhile: `done` may call start() and cancel().
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "gossamer/job/turn.hpp"

namespace gossamer::work {

// Does one job; throws nothing. `pause` is called between the parts of a long one; false means:
// give up.
using Perform = std::function<Result<job::JobDone>(job::Job&, const std::function<bool()>& pause)>;
using Done = std::function<void(job::JobId, Result<job::JobDone>, Duration elapsed)>;

class Executor {
public:
    Executor(unsigned thread_count, Perform perform, Done done);
    ~Executor();  // stop()
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;

    void start(std::vector<job::JobOrder> orders);
    void cancel(job::JobId id);
    // Cancels what is left, answers it, and joins the workers.
    void stop();

private:
    struct Task;
    using TaskRef = std::shared_ptr<Task>;

    void work();
    // Runs one task and everything that follows from it. REQUIRES the lock; returns with it.
    void run(std::unique_lock<std::mutex>& lock, TaskRef task);
    bool pause(Task& training);
    void make_ready(const TaskRef& task, bool first);
    void leave_sum(const TaskRef& task);
    TaskRef take_ready(job::JobClass lowest);
    void complete(std::unique_lock<std::mutex>& lock, const TaskRef& task,
                  Result<job::JobDone> result, Duration elapsed);
    void release(const TaskRef& task);
    // Answers the tasks that can never run because an input will not come.
    void fail_consumers(const TaskRef& producer, std::vector<TaskRef>& failed);

    Perform perform_;
    Done done_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::map<job::JobId, TaskRef> tasks_;       // all that are not answered yet
    std::map<const void*, TaskRef> producers_;  // promised handle -> who will fill it
    std::map<const void*, std::vector<TaskRef>> consumers_;
    std::map<const void*, std::deque<TaskRef>> sums_;  // first in, first run
    std::deque<TaskRef> ready_[4];                     // by class
    unsigned idle_ = 0;
    bool stopping_ = false;
    std::vector<std::thread> workers_;
};

}  // namespace gossamer::work
