#include "drivers/simulation/compute.hpp"

#include <algorithm>
#include <chrono>
#include <system_error>

namespace gossamer::simulation {

namespace {

// Of those that are held, how many may be at hand: they are mostly made together.
constexpr int kLookedAt = 4;
// How many of them may be done before their time: each has made another model by then.
constexpr std::size_t kAheadLeast = 16, kAheadPart = 16;

// To fall asleep and be woken takes as long as a small window.
constexpr auto kSpinMost = std::chrono::microseconds(60);

template <class F>
void spin_until(F&& done) {
    const auto end = std::chrono::steady_clock::now() + kSpinMost;
    while (!done() && std::chrono::steady_clock::now() < end) continue;
}

}  // namespace

Compute::Compute(unsigned thread_count) {
    try {
        for (unsigned i = 1; i < thread_count; ++i) threads_.emplace_back([this] { serve(); });
    } catch (const std::system_error&) {  // no more to be had: those that are there do it
    }
}

void Compute::serve() {
    std::unique_lock lock(mutex_);
    while (!stopping_)
        if (join(lock))
            linger(lock);
        else if (!run_one(lock))
            wake_.wait(lock);
}

Compute::~Compute() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
}

Compute::TicketRef Compute::submit(Work work, job::JobClass priority, bool when_needed) {
    auto ticket = std::make_shared<Ticket>();
    ticket->work_ = std::move(work);
    // Nobody else: it runs when it is waited for.
    if (threads_.empty() || when_needed) return ticket;
    ticket->priority_ = priority;
    std::lock_guard lock(mutex_);
    enqueue(ticket);
    return ticket;
}

Compute::TicketRef Compute::submit_held(Work work, std::vector<tensor::Handle> inputs,
                                        Instant due) {
    auto ticket = std::make_shared<Ticket>();
    ticket->work_ = std::move(work);
    if (threads_.empty()) return ticket;
    ticket->inputs_ = std::move(inputs);
    std::lock_guard lock(mutex_);
    ticket->held_ = held_.emplace(due, ticket);
    return ticket;
}

void Compute::enqueue(const TicketRef& ticket) {
    ticket->state_ = Ticket::State::queued;
    queues_[static_cast<std::size_t>(ticket->priority_)].push_back(ticket);
    ++news_;
    wake_.notify_one();
}

void Compute::run(std::unique_lock<std::mutex>& lock, const TicketRef& ticket) {
    ticket->state_ = Ticket::State::running;
    auto work = std::move(ticket->work_);
    auto inputs = std::exchange(ticket->inputs_, {});
    if (auto at = std::exchange(ticket->held_, {})) held_.erase(*at);
    lock.unlock();
    inputs.clear();
    auto result = work ? work() : fail(ErrorCode::kCancelled, "cancelled");
    work = nullptr;  // its handles go before anybody asks whether they are sole
    lock.lock();
    ticket->result_ = std::move(result);
    ticket->state_ = Ticket::State::done;
    done_.notify_all();
}

void Compute::together(const std::function<void(unsigned)>& work) {
    {
        std::lock_guard lock(mutex_);
        shared_ = &work;
        joined_ = 0;
        ++news_;
    }
    wake_.notify_all();
    work(0);
    std::unique_lock lock(mutex_);
    shared_ = nullptr;
    lock.unlock();
    spin_until([&] { return joined_under_way_ == 0; });
    lock.lock();
    while (joined_under_way_ > 0)
        if (!run_one(lock)) done_.wait(lock);
}

// Once each, as one of those that work together.
bool Compute::join(std::unique_lock<std::mutex>& lock) {
    if (!shared_ || joined_ == threads_.size()) return false;
    const auto& work = *shared_;
    const unsigned number = ++joined_;
    ++joined_under_way_;
    lock.unlock();
    work(number);
    lock.lock();
    if (--joined_under_way_ == 0) done_.notify_all();
    return true;
}

// The next window comes soon.
void Compute::linger(std::unique_lock<std::mutex>& lock) {
    if (!std::ranges::all_of(queues_, &std::deque<TicketRef>::empty)) return;
    const auto seen = news_.load();
    lock.unlock();
    spin_until([&] { return news_ != seen; });
    lock.lock();
}

bool Compute::run_one(std::unique_lock<std::mutex>& lock) {
    for (auto& queue : queues_)
        while (!queue.empty()) {
            auto ticket = std::move(queue.front());
            queue.pop_front();
            if (ticket->state_ != Ticket::State::queued) continue;
            run(lock, ticket);
            return true;
        }
    return run_held(lock);
}

bool Compute::run_held(std::unique_lock<std::mutex>& lock) {
    if (ahead_ >= std::max(kAheadLeast, (held_.size() + ahead_) / kAheadPart)) return false;
    int looked_at = 0;
    for (const auto& [due, held] : held_) {
        if (alone_ == 0 && ++looked_at > kLookedAt) return false;
        const auto ticket = held;
        if (alone_ == 0 && !std::ranges::all_of(ticket->inputs_, &tensor::Handle::is_made))
            continue;
        ticket->ahead_ = true;
        ++ahead_;
        run(lock, ticket);
        return true;
    }
    return false;
}

void Compute::hasten(const TicketRef& ticket) {
    std::unique_lock lock(mutex_);
    if (ticket->state_ == Ticket::State::queued) run(lock, ticket);
}

Result<job::JobDone> Compute::wait(const TicketRef& ticket) {
    std::unique_lock lock(mutex_);
    if (ticket->state_ == Ticket::State::queued) {
        const bool alone = ticket->held_ && shared_ == nullptr && joined_under_way_ == 0;
        alone_ += alone;
        if (alone && !held_.empty()) wake_.notify_one();
        run(lock, ticket);
        alone_ -= alone;
    }
    while (ticket->state_ != Ticket::State::done)
        if (!run_one(lock)) done_.wait(lock);
    ahead_ -= std::exchange(ticket->ahead_, false);
    return std::move(ticket->result_);
}

void Compute::drop(const TicketRef& ticket) {
    std::lock_guard lock(mutex_);
    if (ticket->state_ == Ticket::State::queued) ticket->work_ = nullptr;
    // What it holds goes now: others ask who holds it.
    ticket->inputs_.clear();
    ahead_ -= std::exchange(ticket->ahead_, false);
    if (auto at = std::exchange(ticket->held_, {})) held_.erase(*at);
}

}  // namespace gossamer::simulation
