// D-PSGD with a constant step on quadratics ends in a point that is known: the solution of
// x = W (x - eta A (x - b)), coordinate by coordinate a linear system.
#include <Eigen/Dense>
#include <cmath>

#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

std::string quadratics(const std::string& graph) {
    return "[simulation]\ncompute = \"quadratic\"\nquadratic_dimension = 6\n"
           "quadratic_condition = 4\nquadratic_rate = 0.1\nlatency = \"1ms\"\n"
           "[run]\nmode = \"gossip\"\npeers = 16\nrounds = 500\nseed = 3\n"
           "[gossip]\nlocal_steps = 1\nfinal_averaging_steps = 0\nevaluate_every = 0\n"
           "[topology]\ngraph = \"" +
           graph + "\"\n";
}

Eigen::MatrixXd mixing(const topology::Schedule& schedule) {
    const auto n = schedule.place_count();
    Eigen::MatrixXd w = Eigen::MatrixXd::Zero(n, n);
    for (std::uint32_t i = 0; i < n; ++i) {
        w(i, i) = schedule.self_weight(i, 0);
        for (const auto& j : schedule.in_neighbours(i, 0)) w(i, j.place) += j.weight();
    }
    return w;
}

}  // namespace

TEST_CASE("D-PSGD on quadratics ends in the exact fixed point") {
    for (const std::string graph : {"ring", "torus", "complete", "star"}) {
        INFO(graph);
        auto simulation = make(load(quadratics(graph)));
        REQUIRE(simulation->run());
        const auto& s = simulation->scenario();
        const auto w = mixing(*s.schedule());
        const auto n = static_cast<Eigen::Index>(s.peers());
        const auto& eigenvalues = s.quadratic()->eigenvalues();
        double worst = 0;
        for (std::size_t k = 0; k < eigenvalues.size(); ++k) {
            const double step = s.world().quadratic.rate * eigenvalues[k];
            Eigen::VectorXd b(n);
            for (Eigen::Index i = 0; i < n; ++i)
                b[i] = s.quadratic()->optimum(static_cast<std::uint64_t>(i))[k];
            const Eigen::MatrixXd system = Eigen::MatrixXd::Identity(n, n) - (1 - step) * w;
            const Eigen::VectorXd x = system.partialPivLu().solve(step * (w * b));
            for (Eigen::Index i = 0; i < n; ++i) {
                const auto model = simulation->model(static_cast<PlaceIndex>(i));
                REQUIRE(model.size() == eigenvalues.size());
                worst = std::max(worst, std::abs(model[k] - x[i]));
            }
        }
        CHECK(worst < 2e-5);
    }
}

TEST_CASE("a world of scalars keeps its mean where no message is lost") {
    auto simulation = make(load(quadratics("torus"),
                                {"simulation.quadratic_dimension=1", "run.rounds=200",
                                 "simulation.quadratic_rate=1.0", "simulation.quadratic_steps=1"}));
    const auto o = simulation->run();
    REQUIRE(o);
    const auto& s = simulation->scenario();
    double mean = 0;
    for (PlaceIndex p = 0; p < s.peers(); ++p) mean += s.quadratic()->optimum(p)[0] / s.peers();
    for (PlaceIndex p = 0; p < s.peers(); ++p)
        CHECK(simulation->model(p)[0] == doctest::Approx(mean).epsilon(1e-5));
    CHECK(o->consensus < 1e-6);
}
