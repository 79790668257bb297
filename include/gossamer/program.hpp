// The programs, as functions: the shipped mains are three lines over these, so a user's own
// algorithm, strategy, codec or trainer gets its daemon the same way:
//
//     int main(int argc, char** argv) {
//         gossamer::Extensions mine;
//         mine.algorithms.push_back(my_algorithm_entry());
//         return gossamer::run_peer(argc, argv, mine);
//     }
//
// Exit codes: 0 ok, 1 operation failed, 2 usage or configuration, 3 cannot reach or not authorised,
// 4 timed out or quorum not met, 5 partial, 70 internal error.
#pragma once

#include "gossamer/assembly/extensions.hpp"

namespace gossamer {

int run_peer(int argc, char** argv, const Extensions& extensions = {});
int run_aggregator(int argc, char** argv, const Extensions& extensions = {});
int run_simulation(int argc, char** argv, const Extensions& extensions = {});

}  // namespace gossamer
