// The local control socket of a daemon: a Unix socket, mode 0600, for its own user and root.
//
// One line of JSON asks ({"command":"status"}), one line answers, then the connection closes. At
// most a few clients wait at a time; each has two seconds and 4 KiB for its question.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "gossamer/base/result.hpp"
#include "gossamer/base/time.hpp"

namespace gossamer::runtime {

class ControlSocket {
public:
    // Called on the socket's own thread; returns one line without its end.
    using Answer = std::function<std::string(std::string_view question)>;

    // Replaces a stale socket, and nothing but a socket. Errors: kNetAddress when the path is too
    // long, kNetAddressInUse when a live daemon answers there, kNetListen when something else lies
    // there or the socket cannot be made.
    static Result<std::unique_ptr<ControlSocket>> open(const std::string& path, Answer answer);
    ~ControlSocket();
    ControlSocket(const ControlSocket&) = delete;
    ControlSocket& operator=(const ControlSocket&) = delete;

private:
    ControlSocket(std::string path, int listener, int wake, Answer answer);
    void serve();
    bool told_to_end(Duration wait) const;
    void serve_one(int client);

    std::string path_;
    int listener_, wake_;
    Answer answer_;
    std::thread thread_;
};

// Asks a daemon. kControlUnreachable when nobody listens, kLinkTimeout when it does not answer.
Result<std::string> ask_daemon(const std::string& path, std::string_view question,
                               Duration patience);

}  // namespace gossamer::runtime
