// What a round costs when there is nothing to learn: 8 peers, a model of 1 KB, an empty train job.
// From one announcement to the next. The round's checkpoint is synced to disk three times: the
// file, its folder, the commit record; the same syncs are timed by themselves, in the same place.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "trial.hpp"

using namespace gossamer;

namespace {

constexpr unsigned kRounds = 200, kWarmUp = 10;

void must(bool good) {
    if (!good) std::perror("round_overhead"), std::exit(1);
}

// Milliseconds of: a file of a checkpoint's size written, synced, renamed; its folder synced; a
// record appended to another file and synced; the oldest checkpoint removed.
double syncs_of_a_round(const std::string& folder) {
    const std::string record(1500, 'r'), model(3000, 'm');
    int commits = ::open((folder + "/commits").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    int here = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY);
    must(commits >= 0 && here >= 0);
    std::vector<double> took;
    for (int i = 0; i < 60; ++i) {
        auto path = folder + "/probe-" + std::to_string(i);
        auto begin = std::chrono::steady_clock::now();
        int file = ::open((path + ".tmp").c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
        must(file >= 0 && ::write(file, model.data(), model.size()) > 0);
        must(::fdatasync(file) == 0);
        ::close(file);
        must(::rename((path + ".tmp").c_str(), path.c_str()) == 0);
        must(::fsync(here) == 0);
        must(::write(commits, record.data(), record.size()) > 0 && ::fdatasync(commits) == 0);
        if (i >= 3) ::unlink((folder + "/probe-" + std::to_string(i - 3)).c_str());
        took.push_back(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() * 1e3);
    }
    ::close(commits), ::close(here);
    return bench::median(took);
}

}  // namespace

int main() {
    bench::Trial trial({.name = "overhead",
                        .peer_count = 8,
                        .parameter_count = 256,
                        .round_count = kRounds,
                        .options = {}});
    double syncs = syncs_of_a_round(trial.folder());  // while the daemons find each other
    trial.run();
    syncs = (syncs + syncs_of_a_round(trial.folder())) / 2;
    trial.stop();
    auto periods = trial.periods(*trial.world().aggregator(), "round_finished");
    periods.erase(periods.begin(), periods.begin() + std::min<long>(kWarmUp, std::ssize(periods)));
    const double value = bench::median(periods) * 1e3, limit = 5 + syncs;
    bench::print({.name = "round: overhead, 8 peers, 1 KB (limit 5 ms + 3 syncs)",
                  .unit = "ms",
                  .value = value,
                  .limit = limit,
                  .ratio = limit / value,
                  .goal = 1});
    std::fprintf(stderr, "round: the 3 syncs of its checkpoint alone: %.2f ms\n", syncs);
}
