#include <thread>

#include <doctest/doctest.h>

#include "base/thread/bounded_queue.hpp"

using namespace gossamer;

TEST_CASE("values cross threads once each, in order per producer, and within the bound") {
    thread::BoundedQueue<int> queue(4);
    std::thread producer([&] {
        for (int i = 0; i < 1000; ++i) CHECK(queue.push_or_wait(i));
        queue.close();
    });
    int expected = 0;
    while (auto value =
               queue.pop_until(std::chrono::steady_clock::now() + std::chrono::seconds(20))) {
        CHECK(*value == expected++);
        CHECK(queue.size() <= 4);
    }
    producer.join();
    CHECK(expected == 1000);
    CHECK_FALSE(queue.push_or_wait(1));
    CHECK_FALSE(queue.push_always(1));
}

TEST_CASE("control goes past the bound") {
    thread::BoundedQueue<int> queue(1);
    CHECK(queue.push_or_wait(1));
    CHECK(queue.push_always(2));
    CHECK(queue.size() == 2);
    CHECK(queue.try_pop() == 1);
    CHECK(queue.try_pop() == 2);
    CHECK_FALSE(queue.try_pop());
}
