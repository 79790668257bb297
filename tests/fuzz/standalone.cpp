// Runs a libFuzzer target without libFuzzer: inputs that are random, and mutations of the files in
// the folders given, for a fixed number of rounds. It keeps every parser under fire in the ordinary
// test run; ./run fuzz does the coverage-guided work.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gossamer/base/rng.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

Input mutate(Input input, gossamer::RngStream& rng) {
    auto times = 1 + rng.below(6);
    for (std::uint64_t i = 0; i < times; ++i) {
        if (input.empty()) input.push_back(static_cast<std::uint8_t>(rng.next_u32()));
        auto at = rng.below(input.size());
        switch (rng.below(6)) {
            case 0: input[at] ^= static_cast<std::uint8_t>(1u << rng.below(8)); break;
            case 1: input[at] = static_cast<std::uint8_t>(rng.next_u32()); break;
            case 2: input.resize(at); break;
            case 3:
                input.insert(input.begin() + static_cast<long>(at), 1 + rng.below(16), 0xff);
                break;
            case 4: input.erase(input.begin() + static_cast<long>(at)); break;
            case 5:
                input.insert(input.end(), input.begin() + static_cast<long>(at), input.end());
                break;
        }
        if (input.size() > 65536) input.resize(65536);
    }
    return input;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> paths;
    for (int i = 1; i < argc; ++i)
        for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i]))
            if (entry.is_regular_file()) paths.push_back(entry.path().string());
    std::ranges::sort(paths);
    std::vector<Input> corpus;
    for (const auto& path : paths) {
        std::ifstream file(path, std::ios::binary);
        if (!file) return std::fprintf(stderr, "%s cannot be read\n", path.c_str()), 2;
        corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    const char* text = std::getenv("GOSSAMER_FUZZ_SEED");
    gossamer::RunSeed seed{text ? std::strtoull(text, nullptr, 10) : 1};
    std::printf("seed %llu (set GOSSAMER_FUZZ_SEED), %zu files\n",
                static_cast<unsigned long long>(seed.value), corpus.size());
    auto rng = gossamer::stream(seed, gossamer::Purpose::data);
    for (const auto& input : corpus) LLVMFuzzerTestOneInput(input.data(), input.size());
    const int rounds = 20000;
    for (int i = 0; i < rounds; ++i) {
        Input input;
        if (!corpus.empty() && i % 4) {
            input = mutate(corpus[rng.below(corpus.size())], rng);
        } else {
            input.resize(rng.below(512));
            for (auto& byte : input) byte = static_cast<std::uint8_t>(rng.next_u32());
        }
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    std::printf("%d inputs\n", rounds);
}
