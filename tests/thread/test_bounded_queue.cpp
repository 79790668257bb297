#include <thread>

#include <doctest/doctest.h>

#include "base/thread/bounded_queue.hpp"

using namespace gossamer;

namespace {

template <class T>
std::optional<T> next(thread::BoundedQueue<T>& queue) {
    return queue.pop_until(std::chrono::steady_clock::now() + std::chrono::seconds(20));
}

}  // namespace

TEST_CASE("values cross threads once each, in order per producer") {
    thread::BoundedQueue<int> queue(4);
    std::thread producer([&] {
        for (int i = 0; i < 1000; ++i)
            while (!queue.push(i)) std::this_thread::yield();
        queue.close();
    });
    int expected = 0;
    while (auto value = next(queue)) CHECK(*value == expected++);
    producer.join();
    CHECK(expected == 1000);
    CHECK_FALSE(queue.push(1));
}

TEST_CASE("a full queue says so and takes no more until there is room") {
    thread::BoundedQueue<int> queue(2);
    CHECK(queue.push(1));
    CHECK(queue.push(2));
    CHECK_FALSE(queue.push(3));
    CHECK(next(queue) == 1);
    CHECK(queue.push(4));
    CHECK(next(queue) == 2);
    CHECK(next(queue) == 4);
    CHECK_FALSE(queue.pop_until(std::chrono::steady_clock::now()));
}

TEST_CASE("a closed queue still gives what it holds") {
    thread::BoundedQueue<int> queue(2);
    CHECK(queue.push(1));
    queue.close();
    CHECK(next(queue) == 1);
    CHECK_FALSE(next(queue));
}
