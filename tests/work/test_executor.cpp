#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include <doctest/doctest.h>

#include "drivers/work/executor.hpp"
#include "gossamer/base/rng.hpp"

using namespace gossamer;
using job::JobClass;
using job::JobId;

namespace {

tensor::LayoutRef layout_of(std::uint32_t count) {
    auto layout = std::make_shared<tensor::Layout>();
    layout->add("x", {count});
    return layout;
}

// Collects the answers and lets a test wait for them.
struct Answers {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::uint64_t, Result<job::JobDone>> got;
    std::vector<std::uint64_t> order;

    work::Done sink() {
        return [this](JobId id, Result<job::JobDone> result, Duration) {
            std::lock_guard lock(mutex);
            CHECK(got.emplace(id.value, std::move(result)).second);  // answered once
            order.push_back(id.value);
            changed.notify_all();
        };
    }
    bool wait(std::size_t count) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, std::chrono::seconds(20),
                                [&] { return got.size() >= count; });
    }
};

// A compute job that writes input + 1 (or 1 without an input).
job::ComputeJob plus_one(tensor::Model in, tensor::Model out) {
    job::ComputeJob j;
    j.name = "plus one";
    if (in.exists()) j.input.models.push_back(in);
    j.out_models.push_back(out);
    return j;
}

// Performs compute jobs on plain buffers; every other job says it is done.
work::Perform arithmetic(tensor::PoolRef pool) {
    return [pool](job::Job& any, const std::function<bool()>&) -> Result<job::JobDone> {
        if (auto* j = std::get_if<job::ComputeJob>(&any)) {
            if (j->name == "fails") return fail(ErrorCode::kInternal, "as asked");
            auto buffer = pool->take_floats(1);
            buffer.floats()[0] = j->input.models.empty() ? 1 : j->input.models[0].values()[0] + 1;
            for (auto& out : j->out_models) out.fill(std::move(buffer));
            return job::JobDone(job::ComputeDone{});
        }
        return job::JobDone(job::AccumulateDone{});
    };
}

}  // namespace

TEST_CASE("a job is answered before what follows from it starts, however idle the other workers") {
    auto layout = layout_of(1);
    auto pool = tensor::BufferPool::create(1 << 20);
    auto perform = arithmetic(pool);
    std::atomic<int> performed = 0;
    Answers answers;
    auto sink = answers.sink();
    std::atomic<bool> overtaken = false;
    work::Executor executor(
        4,
        [&](job::Job& any, const std::function<bool()>& pause) {
            ++performed;
            return perform(any, pause);
        },
        [&](JobId id, Result<job::JobDone> result, Duration elapsed) {
            // Plenty of occasions for the next in the chain to overtake this answer.
            for (int i = 0; i < 30; ++i) {
                std::this_thread::yield();
                if (performed > static_cast<int>(id.value)) overtaken = true;
            }
            sink(id, std::move(result), elapsed);
        });
    std::vector<job::JobOrder> orders;
    tensor::Model last;
    for (std::uint64_t i = 1; i <= 8; ++i) {
        auto next = tensor::Model::promise(layout);
        orders.push_back({JobId{i}, JobClass::normal, plus_one(last, next)});
        last = next;
    }
    executor.start(std::move(orders));
    REQUIRE(answers.wait(8));
    CHECK_FALSE(overtaken);
    CHECK(std::is_sorted(answers.order.begin(), answers.order.end()));
}

TEST_CASE("a chain of promised handles runs in order, whatever the number of threads") {
    auto layout = layout_of(1);
    auto pool = tensor::BufferPool::create(1 << 20);
    for (unsigned threads : {1u, 2u, 4u}) {
        CAPTURE(threads);
        Answers answers;
        work::Executor executor(threads, arithmetic(pool), answers.sink());
        std::vector<job::JobOrder> orders;
        tensor::Model last;
        for (std::uint64_t i = 1; i <= 50; ++i) {
            auto next = tensor::Model::promise(layout);
            orders.push_back({JobId{i}, static_cast<JobClass>(i % 4), plus_one(last, next)});
            last = next;
        }
        executor.start(std::move(orders));
        REQUIRE(answers.wait(50));
        CHECK(last.values()[0] == 50);
    }
}

TEST_CASE("when a job fails, all that needed its output are answered with an error, once") {
    auto layout = layout_of(1);
    auto pool = tensor::BufferPool::create(1 << 20);
    Answers answers;
    work::Executor executor(2, arithmetic(pool), answers.sink());
    auto a = tensor::Model::promise(layout), b = tensor::Model::promise(layout),
         c = tensor::Model::promise(layout);
    auto bad = plus_one({}, a);
    bad.name = "fails";
    executor.start({{JobId{1}, JobClass::normal, bad},
                    {JobId{2}, JobClass::normal, plus_one(a, b)},
                    {JobId{3}, JobClass::normal, plus_one(b, c)}});
    REQUIRE(answers.wait(3));
    CHECK(answers.got.at(1).error().code == ErrorCode::kInternal);
    CHECK(answers.got.at(2).error().code == ErrorCode::kCancelled);
    CHECK(answers.got.at(3).error().code == ErrorCode::kCancelled);
    // Asked for after the failure: the input will never come, and the executor says so.
    executor.start({{JobId{4}, JobClass::normal, plus_one(b, c)}});
    REQUIRE(answers.wait(4));
    CHECK(answers.got.at(4).error().code == ErrorCode::kCancelled);
}

TEST_CASE("an urgent job runs between the batches of a training on the only thread") {
    std::atomic<int> batches{0};
    std::atomic<bool> urgent_done{false};
    Answers answers;
    auto layout = layout_of(1);
    work::Executor* pointer = nullptr;
    auto perform = [&](job::Job& any, const std::function<bool()>& pause) -> Result<job::JobDone> {
        if (std::holds_alternative<job::TrainJob>(any)) {
            for (int i = 0; i < 1000; ++i) {
                if (i == 10) pointer->start({{JobId{2}, JobClass::urgent, job::VerifyJob{}}});
                if (!pause()) return fail(ErrorCode::kCancelled, "told to");
                ++batches;
                if (urgent_done) break;
            }
            return job::JobDone(job::TrainDone{});
        }
        urgent_done = true;
        return job::JobDone(job::VerifyDone{});
    };
    work::Executor executor(1, perform, answers.sink());
    pointer = &executor;
    executor.start({{JobId{1}, JobClass::train, job::TrainJob{}}});
    REQUIRE(answers.wait(2));
    CHECK(answers.order == std::vector<std::uint64_t>{2, 1});
    CHECK(batches <= 11);
}

TEST_CASE("cancelled and stopped jobs are answered once") {
    Answers answers;
    std::atomic<bool> began{false};
    auto perform = [&](job::Job&, const std::function<bool()>& pause) -> Result<job::JobDone> {
        began = true;
        while (pause()) std::this_thread::yield();
        return fail(ErrorCode::kCancelled, "told to");
    };
    work::Executor executor(1, perform, answers.sink());
    executor.start({{JobId{1}, JobClass::train, job::TrainJob{}},
                    {JobId{2}, JobClass::train, job::TrainJob{}},
                    {JobId{3}, JobClass::train, job::TrainJob{}}});
    while (!began) std::this_thread::yield();
    executor.cancel(JobId{2});
    REQUIRE(answers.wait(1));
    CHECK(answers.order.front() == 2);
    executor.cancel(JobId{1});
    REQUIRE(answers.wait(2));
    executor.stop();
    REQUIRE(answers.wait(3));
    for (auto& [id, result] : answers.got) CHECK(result.error().code == ErrorCode::kCancelled);
}

TEST_CASE("jobs on one sum run one at a time and in the order asked for") {
    for (unsigned seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        auto rng = stream(RunSeed{seed}, Purpose::data);
        Answers answers;
        std::mutex mutex;
        std::vector<float> seen[2];
        std::atomic<int> inside[2] = {0, 0};
        job::Sum sums[2] = {job::Sum::fresh(1), job::Sum::fresh(1)};
        auto perform = [&](job::Job& any, const std::function<bool()>&) -> Result<job::JobDone> {
            auto& j = std::get<job::AccumulateJob>(any);
            int which = j.sum.key() == sums[1].key();
            CHECK(++inside[which] == 1);
            {
                std::lock_guard lock(mutex);
                seen[which].push_back(j.weight);
            }
            --inside[which];
            return job::JobDone(job::AccumulateDone{});
        };
        work::Executor executor(4, perform, answers.sink());
        float next[2] = {0, 0};
        for (std::uint64_t i = 1; i <= 200; ++i) {
            int which = static_cast<int>(rng.below(2));
            job::AccumulateJob j;
            j.sum = sums[which], j.weight = next[which]++;
            executor.start({{JobId{i}, static_cast<JobClass>(rng.below(4)), j}});
        }
        REQUIRE(answers.wait(200));
        for (const auto& list : seen) CHECK(std::ranges::is_sorted(list));
    }
}
