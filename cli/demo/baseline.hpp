// What the demo compares with: the same network, data and number of passes, trained by nobody
// together (each peer alone on its part) and by one who has all the data.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/demo/show.hpp"
#include "gossamer/tensor/buffer.hpp"

namespace gossamer::data {
class Dataset;
}

namespace gossamer::cli::demo {

class Baseline {
public:
    static Result<std::unique_ptr<Baseline>> create(const Plan& plan);
    ~Baseline();

    Result<Row> local_only();
    Result<Row> central();
    // Test accuracy of a final.safetensors.
    Result<double> accuracy_of(const std::string& model_file);

private:
    struct State;
    explicit Baseline(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace gossamer::cli::demo
