// A handle to a running exact sum. Those who add at the same time add to parts of it, which are
// merged when the sum is read; an executor that adds one after another has one part.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gossamer/tensor/buffer.hpp"

namespace gossamer::tensor {

class Sum {
public:
    class Parts {  // executors only
    public:
        explicit Parts(std::size_t count) : count_(count) {}
        // Words to add to, for nobody else until they are given back: of an idle part, or of a new
        // one of zeros. Any thread may ask.
        Buffer lend(BufferPool& pool);
        void give_back(Buffer part);
        // REQUIRES that something was added and nobody adds any more.
        std::span<const std::int64_t> total();

    private:
        std::size_t count_ = 0;
        std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
        std::vector<Buffer> idle_;
    };
    static Sum fresh(std::size_t count) {
        Sum sum;
        sum.parts_ = std::make_shared<Parts>(count);
        return sum;
    }
    bool exists() const { return parts_ != nullptr; }
    const void* key() const { return parts_.get(); }
    Parts& parts() const { return *parts_; }

private:
    std::shared_ptr<Parts> parts_;
};

}  // namespace gossamer::tensor
