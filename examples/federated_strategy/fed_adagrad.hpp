// FedAdagrad (Reddi et al., ICLR 2021, arXiv:2003.00295): the server treats the mean delta as a
// gradient and gives each parameter its own rate, smaller where deltas have been large so far,
//
//     v' = v + delta²        x' = x + rate · delta / (√v' + tau)        v = tau² at first
//
// On data that differ much between clients it needs fewer rounds than FedAvg.
#pragma once

#include "gossamer/federated/strategy.hpp"

struct FedAdagradOptions {
    double rate = 0.1;
    double tau = 1e-3;  // smaller adapts more
};
gossamer::federated::StrategyRef fed_adagrad(FedAdagradOptions options);

// federated.strategy = "fed_adagrad", federated.fed_adagrad.rate = 0.1
gossamer::federated::StrategyEntry fed_adagrad_entry();
