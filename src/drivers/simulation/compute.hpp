// The real work behind virtual jobs: on all cores, while virtual time stands still.
//
// A job is handed in when it begins in virtual time and must be done when its virtual end has come:
// wait() then runs it here, or others while another thread is at it. What a job gives depends on
// its inputs alone, so neither the number of threads nor their order shows.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "gossamer/base/time.hpp"
#include "gossamer/job/job.hpp"

namespace gossamer::simulation {

class Compute {
public:
    using Work = std::function<Result<job::JobDone>()>;
    class Ticket;
    using TicketRef = std::shared_ptr<Ticket>;

    explicit Compute(unsigned thread_count);  // the caller of wait() counts as one
    ~Compute();
    Compute(const Compute&) = delete;
    Compute& operator=(const Compute&) = delete;

    // When needed: begins only in wait(), when all that may be done along with it are known.
    TicketRef submit(Work work, job::JobClass priority, bool when_needed = false);
    // For work on inputs that are not made yet (tensor::Later), needed at virtual time `due`. It is
    // left until then, for making them early costs a copy of each; others do it before when they
    // have been made meanwhile, or when nothing else would be done beside one that is due.
    TicketRef submit_held(Work work, std::vector<tensor::Handle> inputs, Instant due);
    // Does it here and now, unless it is under way or done.
    void hasten(const TicketRef& ticket);
    Result<job::JobDone> wait(const TicketRef& ticket);
    void drop(const TicketRef& ticket);  // nobody waits for it any more

    // Calls work(0) here, and work(1), work(2), ... on other threads as they become free, until
    // work(0) returns; then waits for those that began, and does jobs meanwhile.
    void together(const std::function<void(unsigned)>& work);

private:
    void serve();  // on a thread of its own
    bool join(std::unique_lock<std::mutex>& lock);
    void linger(std::unique_lock<std::mutex>& lock);
    bool run_one(std::unique_lock<std::mutex>& lock);
    bool run_held(std::unique_lock<std::mutex>& lock);
    void enqueue(const TicketRef& ticket);
    void run(std::unique_lock<std::mutex>& lock, const TicketRef& ticket);

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::deque<TicketRef> queues_[4];  // by class
    std::multimap<Instant, TicketRef> held_;
    std::size_t ahead_ = 0;  // of those that were held: done, but not yet waited for
    unsigned alone_ = 0;     // threads at work that was held and is due, outside of together()
    bool stopping_ = false;
    const std::function<void(unsigned)>* shared_ = nullptr;  // what together() offers
    unsigned joined_ = 0;
    std::atomic<unsigned> news_{0};  // what there is to do was added
    std::atomic<unsigned> joined_under_way_{0};
    std::vector<std::thread> threads_;
};

class Compute::Ticket {
    friend class Compute;
    enum class State : std::uint8_t { queued, running, done };
    Work work_;  // empty: dropped
    job::JobClass priority_{};
    std::vector<tensor::Handle> inputs_;
    std::optional<std::multimap<Instant, TicketRef>::iterator> held_;
    bool ahead_ = false;
    State state_ = State::queued;
    Result<job::JobDone> result_ = fail(ErrorCode::kCancelled, "cancelled");
};

}  // namespace gossamer::simulation
