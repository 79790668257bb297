// Protocol stories as text: tests/transcripts/NAME.txt says what should happen and why, then events
// and the expected answers.
//
//     # A comment, kept as it is.
//     > command and its words
//     the answer, as many lines as there are
//
// run_story feeds each command to the handler and compares what it says with the text. With
// GOSSAMER_RECORD=1 in the environment it writes what it got instead: read the diff, commit only
// what you can explain.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gossamer/job/turn.hpp"

namespace gossamer::testing {

using Words = std::vector<std::string>;
using StoryHandler = std::function<std::string(const Words& command)>;
void run_story(const std::string& name, const StoryHandler& handler);

// What a core asked for, one line each, in the order a driver carries it out. Peers made by
// PeerId::of_number(n) are called "pn".
std::string describe(const job::Turn& turn);
std::string peer_name(const PeerId& id);
PeerId peer_named(const std::string& name);  // "p3"
std::string describe(const message::Message& message);
std::string describe(const message::Notice& notice);
std::string describe(const message::Manifest& manifest);
std::string describe_time(Instant t);  // "1.250s"; Instant 0 is the start of the story

}  // namespace gossamer::testing
