// Heavy-ball gossip: D-PSGD whose mixing has momentum. What one step of training and mixing changed
// is carried on into the next with factor beta,
//
//     u' = beta · u + (mixed - start)        next = start + u'
//
// after Polyak (1964); the same idea with a longer outer loop is SlowMo (Wang et al., ICLR 2020,
// arXiv:1910.00643). On a poorly connected graph it brings the models together in fewer steps.
#pragma once

#include "gossamer/gossip/algorithm.hpp"

gossamer::gossip::AlgorithmRef heavy_ball(double beta);

// gossip.algorithm = "heavy-ball", gossip.heavy-ball.beta = 0.5
gossamer::gossip::AlgorithmEntry heavy_ball_entry();
