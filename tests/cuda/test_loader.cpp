// Finding the plugin, and saying why there is none.
#include <doctest/doctest.h>

#include "gossamer/training/make_trainer.hpp"
#include "learning/cuda/emulation.hpp"
#include "learning/cuda/loader.hpp"

using namespace gossamer;

TEST_CASE("a plugin that is missing, is none, or is of another version is refused by name") {
    const auto missing = cuda::Plugin::load("/nonexistent/libgossamer-cuda.so");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == cuda::kGpuPlugin);
    CHECK(missing.error().what.find("nonexistent") != std::string::npos);
    const auto other = cuda::Plugin::load("libm.so.6");
    REQUIRE_FALSE(other);
    CHECK(other.error().what == "libm.so.6 is no plugin of Gossamer");
    const auto old = cuda::Plugin::load(FAKE_PLUGIN);
    REQUIRE_FALSE(old);
    CHECK(old.error().code == cuda::kGpuPlugin);
    CHECK(old.error().what.find("has version 99 of the interface, this program needs 4") !=
          std::string::npos);
}

TEST_CASE("a card that is not there is refused by number") {
    CHECK(cuda::describe(cuda::emulation(), 0));
    const auto none = cuda::describe(cuda::emulation(), 5);
    REQUIRE_FALSE(none);
    CHECK(none.error().code == cuda::kGpuDevice);
}

TEST_CASE("the line about the card names it, or says why there is none") {
    const auto line = training::device_line();
    CHECK(line.size() > 5);
    const auto& api = cuda::Plugin::find();
    if (!api || !cuda::describe(**api, 0)) CHECK(line.starts_with("none: "));
}

TEST_CASE("errors of the plugin keep their meaning") {
    gossamer_cuda_error error{GOSSAMER_CUDA_MEMORY, "900 MiB for gradients do not fit"};
    CHECK(cuda::error_of(error).code == cuda::kGpuMemory);
    CHECK(cuda::error_of(error).what == "900 MiB for gradients do not fit");
    error.code = GOSSAMER_CUDA_NO_DRIVER;
    CHECK(cuda::error_of(error).code == cuda::kGpuDriver);
}
