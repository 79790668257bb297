// From what OpenSSL reports, and the alerts it received, to our error codes.
#pragma once

#include "gossamer/base/result.hpp"

namespace gossamer::security {

// `openssl_error` is a packed code of ERR_get_error.
Error tls_error(unsigned long openssl_error);
// `alert`: its description (RFC 8446 §6), from the other side.
Error tls_alert(int alert);

}  // namespace gossamer::security
