// Runs plain SGD steps when told, for a program that compares with others in turn (bench_torch.py):
//   step_server MODEL INPUT OUTPUTS BATCH WORDS
// WORDS > 0: samples are numbers below it. Prints the instruction set; then for each line with a
// number of steps on standard input, the seconds of processor time they took.
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "gossamer/model/plan.hpp"

using namespace gossamer;

namespace {

double cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

model::Network network_of(char** argv) {
    std::vector<std::uint32_t> input;
    std::stringstream shape(argv[2]);
    for (std::string extent; std::getline(shape, extent, 'x');)
        input.push_back(static_cast<std::uint32_t>(std::stoul(extent)));
    const auto outputs = static_cast<std::uint32_t>(std::stoul(argv[3]));
    return model::Network::create(model::zoo(argv[1], input, outputs).value()).value();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) {
        std::fprintf(stderr, "step_server MODEL INPUT OUTPUTS BATCH WORDS\n");
        return 2;
    }
    const auto network = network_of(argv);
    const std::size_t batch_size = std::stoul(argv[4]), words = std::stoul(argv[5]);
    const std::size_t positions = network.output_count() / std::stoul(argv[3]);
    const auto pool = tensor::BufferPool::create(std::size_t{64} << 20);
    model::Plan plan(network, batch_size, true, *pool);
    auto parameters = pool->take_floats(network.layout()->parameter_count());
    network.initialise(parameters.floats(), RunSeed{1});
    auto r = stream(RunSeed{2}, Purpose::user);
    std::vector<float> inputs(batch_size * network.input_count());
    for (auto& v : inputs)
        v = words ? static_cast<float>(r.below(words)) : static_cast<float>(r.uniform());
    std::vector<std::int32_t> labels(batch_size * positions);
    for (auto& label : labels)
        label = static_cast<std::int32_t>(r.below(network.output_count() / positions));
    std::printf("%s\n", model::maths_instruction_set());
    std::fflush(stdout);
    for (int steps = 0; std::scanf("%d", &steps) == 1;) {
        const double begin = cpu_seconds();
        for (int i = 0; i < steps; ++i)
            plan.sgd_step(parameters.floats(), {batch_size, inputs, labels, {}, 1}, 1e-3f);
        std::printf("%.9f\n", cpu_seconds() - begin);
        std::fflush(stdout);
    }
}
